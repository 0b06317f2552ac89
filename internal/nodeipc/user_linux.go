package nodeipc

import (
	"bytes"
	"encoding/json"
	"slices"

	"tend/api"
)

// typed is a message of the shape that PM2's agents in apps send.
type typed struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

var (
	readyLine = []byte(`"ready"`)
	typeMark  = []byte(`"type"`)
)

// user deals with a message of the app itself.
func (l *loop) user(c *channel, text []byte) {
	if bytes.Equal(text, readyLine) {
		l.news(c, &c.notes.Ready, Ready)
	}
	n := api.Notice{
		Topic: api.TopicMessage, ID: c.Source.ID, Name: c.Source.Name, Namespace: c.Source.Namespace,
		UniqueID: c.Key, Data: text,
	}
	if t, ok := asTyped(text); ok {
		switch t.Type {
		case "axm:action":
			l.registered(c, t.Data)
			return
		case "axm:monitor", "axm:option:configuration": // figures for a dashboard; PM2 makes no event of them either
			return
		}
		n.Topic, n.Data = t.Type, t.Data
	}
	number := uint64(c.inbox.lines())
	if done, ok := l.opts.Published(c.Key); ok && done == number {
		return // by the daemon before us, which could not say so any more
	}
	l.opts.Publish(n, number)
}

// asTyped reads an object that has a type and data.
func asTyped(text []byte) (t typed, ok bool) {
	if text[0] != '{' || !bytes.Contains(text, typeMark) {
		return t, false
	}
	return t, json.Unmarshal(text, &t) == nil && t.Type != "" && len(t.Data) > 0
}

// registered takes note of an action that the app offers.
func (l *loop) registered(c *channel, data json.RawMessage) {
	var a struct {
		Name string `json:"action_name"`
	}
	if json.Unmarshal(data, &a) != nil || a.Name == "" || slices.Contains(c.actions, a.Name) || len(c.actions) >= mostActions {
		return
	}
	c.actions = append(c.actions, a.Name)
	l.opts.Action(c.Key, a.Name)
}
