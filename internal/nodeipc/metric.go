package nodeipc

import (
	"encoding/json"
	"maps"

	"tend/api"
)

// The bounds of what is kept of the figures of one app.
const (
	mostMetrics    = 256
	mostMetricText = 256 // bytes of a name, a value, a unit, a type
)

// updated is metrics with those that an app has just told, which is left as it
// was. What is no figure is left out, and what is above the bounds.
func updated(metrics map[string]api.Metric, told json.RawMessage) map[string]api.Metric {
	var news map[string]json.RawMessage
	if json.Unmarshal(told, &news) != nil {
		return metrics
	}
	out := maps.Clone(metrics)
	if out == nil {
		out = map[string]api.Metric{}
	}
	for name, text := range news {
		var m api.Metric
		if json.Unmarshal(text, &m) != nil || !small(name, m) {
			continue
		}
		if _, known := out[name]; known || len(out) < mostMetrics {
			out[name] = m
		}
	}
	return out
}

func small(name string, m api.Metric) bool {
	value := ""
	switch v := m.Value.(type) {
	case float64, bool:
	case string:
		value = v
	default:
		return false
	}
	return max(len(name), len(value), len(m.Unit), len(m.Type)) <= mostMetricText
}
