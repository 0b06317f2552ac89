package dayjs

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// ofMoment are the tokens that day.js does not know, or takes for two.
const ofMoment = "Y Qo Mo DDDD DDDo DDD do gg GG Wo SSSSSSSSS SSSSSSSS SSSSSSS SSSSSS SSSSS SSSS SS S"

// ofGo are the tokens that neither says without the database of zones.
const ofGo = "zzz zz z"

// question is a time that a library is to format, and answer what it made of it.
type (
	question struct {
		Format string `json:"format"`
		MS     int64  `json:"ms"`
	}
	answer struct{ Dayjs, Moment string }
)

// TestReference asks day.js and moment themselves, those of TEND_NODE_MODULES.
func TestReference(t *testing.T) {
	modules := os.Getenv("TEND_NODE_MODULES")
	if _, err := os.Stat(filepath.Join(modules, "dayjs")); err != nil || modules == "" {
		const why = "TEND_NODE_MODULES has no day.js"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	both, moment := strings.Fields(tokens), strings.Fields(ofMoment)
	both = slices.DeleteFunc(both, func(token string) bool {
		return slices.Contains(moment, token) || slices.Contains(strings.Fields(ofGo), token)
	})
	for _, zone := range zones(t) {
		t.Run(zone.String(), func(t *testing.T) {
			questions := ask(both)
			for i, a := range answers(t, modules, zone, questions) {
				check(t, questions[i], zone, "day.js", a.Dayjs)
				check(t, questions[i], zone, "moment", a.Moment)
			}
			questions = ask(moment)
			for i, a := range answers(t, modules, zone, questions) {
				check(t, questions[i], zone, "moment", a.Moment)
			}
		})
	}
}

func check(t *testing.T, q question, zone *time.Location, library, want string) {
	t.Helper()
	if got := format(q.Format, time.UnixMilli(q.MS).In(zone)); got != want {
		t.Errorf("%q at %d is %q, %s says %q", q.Format, q.MS, got, library, want)
	}
}

// ask makes formats of tokens, each for some time.
func ask(tokens []string) (all []question) {
	from, to := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2038, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 2000 {
		var format []string
		for range 1 + rand.IntN(6) {
			format = append(format, tokens[rand.IntN(len(tokens))])
		}
		between := []string{" ", "-", ":", "[at D]", "_", ", é "}[rand.IntN(6)]
		ms := from.UnixMilli() + rand.Int64N(to.UnixMilli()-from.UnixMilli())
		all = append(all, question{strings.Join(format, between), ms})
	}
	return all
}

// answers asks both libraries in one zone.
func answers(t *testing.T, modules string, zone *time.Location, questions []question) (all []answer) {
	t.Helper()
	in, err := json.Marshal(questions)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", filepath.Join("testdata", "reference.js"))
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules, "TZ="+zone.String())
	cmd.Stdin = bytes.NewReader(in)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd, err)
	}
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != len(questions) {
		t.Fatalf("%d answers to %d questions", len(all), len(questions))
	}
	return all
}
