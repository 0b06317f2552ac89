package nodeipc

import (
	"bytes"
	"encoding/json"
	"slices"

	"tend/api"
)

// typed is a message of the shape that PM2's agents in apps send: an object
// with type and data.
type typed struct {
	kind string
	data json.RawMessage
}

const (
	readyLine = `"ready"`
	typeMark  = `"type"`
)

// user deals with a message of the app itself.
func (l *loop) user(c *channel, body []byte) {
	if string(body) == readyLine {
		l.news(c, &c.notes.Ready, Ready)
	}
	n := api.Notice{
		Topic: api.TopicMessage, ID: c.Source.ID, Name: c.Source.Name, Namespace: c.Source.Namespace,
		UniqueID: c.Key, Data: body,
	}
	if t, ok := asTyped(body); ok {
		switch t.kind {
		case "axm:action":
			l.registered(c, t.data)
			return
		case "axm:monitor": // PM2 makes no event of it either
			l.reported(c, t.data)
			return
		case "axm:option:configuration": // for a dashboard
			return
		}
		n.Topic, n.Data = t.kind, t.data
	}
	number := uint64(c.inbox.lines())
	if c.repeats && c.published == number {
		return
	}
	l.opts.Publish(n, number)
}

// asTyped reads a message that is typed.
func asTyped(body []byte) (t typed, ok bool) {
	if body[0] != '{' || !bytes.Contains(body, []byte(typeMark)) {
		return t, false
	}
	var fields map[string]json.RawMessage // a struct would take "Type" for "type"
	_ = json.Unmarshal(body, &fields)
	t = typed{text(fields["type"]), fields["data"]}
	return t, t.kind != "" && len(t.data) > 0
}

// registered takes note of an action that the app offers.
func (l *loop) registered(c *channel, data json.RawMessage) {
	var a api.Action
	if json.Unmarshal(data, &a) != nil || a.Name == "" || slices.Contains(c.actions, a.Name) || len(c.actions) >= mostActions {
		return
	}
	c.actions = append(c.actions, a.Name)
	l.opts.Action(c.Key, a)
}

// reported takes note of figures that the app tells of itself. Those that it
// does not mention stay as they were.
func (l *loop) reported(c *channel, data json.RawMessage) {
	c.metrics = updated(c.metrics, data)
	l.publishStatus(c)
}
