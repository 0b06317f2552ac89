package nodeipc

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/api"
)

func TestMetrics(t *testing.T) {
	first := updated(nil, json.RawMessage(`{"Heap Size":{"historic":true,"unit":"MiB","type":"internal/heap","value":"5.5","aggregation":"avg"},"Loops":{"value":3}}`))
	second := updated(first, json.RawMessage(`{"Loops":{"value":4},"OK":{"value":true}}`))
	want := map[string]api.Metric{
		"Heap Size": {Value: "5.5", Unit: "MiB", Type: "internal/heap", Historic: true}, "Loops": {Value: 4.0}, "OK": {Value: true},
	}
	if diff := cmp.Diff(second, want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
	if first["Loops"].Value != 3.0 || len(first) != 2 {
		t.Errorf("what was told before is %v now", first)
	}
	long := strings.Repeat("x", mostMetricText+1)
	for _, text := range []string{
		`[]`, `3`, `null`, `{"a":3}`, `{"a":{"value":{}}}`, `{"a":{}}`, `{"a":{"value":"` + long + `"}}`,
		`{"` + long + `":{"value":1}}`, `{"a":{"value":1,"unit":"` + long + `"}}`,
	} {
		if got := updated(nil, json.RawMessage(text)); len(got) != 0 {
			t.Errorf("%.40s gives %v", text, got)
		}
	}
	for i := range 2 * mostMetrics {
		first = updated(first, json.RawMessage(fmt.Sprintf(`{"m%d":{"value":%[1]d}}`, i)))
	}
	if first = updated(first, json.RawMessage(`{"Loops":{"value":9}}`)); len(first) != mostMetrics || first["Loops"].Value != 9.0 {
		t.Errorf("%d are kept, Loops is %v", len(first), first["Loops"])
	}
}
