package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestWords(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		want []string
	}{
		"nothing":                          {"", nil},
		"only space":                       {" \t\n ", nil},
		"plain words":                      {" a  b\tc\n", []string{"a", "b", "c"}},
		"as PM2 splits":                    {`--x "a b" c='d e' f="g h"`, []string{"--x", "a b", "c='d e'", `f="g h"`}},
		"quotes in other quotes":           {`"it's" 'say "x"'`, []string{"it's", `say "x"`}},
		"an empty word":                    {`a "" b`, []string{"a", "", "b"}},
		"two quoted parts are one word":    {`"a""b c"`, []string{`"a""b c"`}},
		"a quote that is never closed":     {`a "b c`, []string{"a", `"b`, "c"}},
		"a single quote alone":             {`'`, []string{"'"}},
		"no escapes":                       {`a\ b "c\"d"`, []string{`a\`, "b", `"c\"d"`}},
		"a quote after a quoted beginning": {`"a b"c`, []string{`"a b"c`}},
		"no variables":                     {`$HOME ~`, []string{"$HOME", "~"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(words(tt.text), tt.want); diff != "" {
				t.Errorf("got - want +\n%s", diff)
			}
		})
	}
}

func FuzzWords(f *testing.F) {
	for _, s := range []string{`--x "a b" c='d e'`, `"`, `''`, "a\x00b", "é \u00a0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := words(text)
		if !strings.ContainsAny(text, `"'`) {
			want := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(space, r) })
			if diff := cmp.Diff(got, want, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("without quotes: got - want +\n%s", diff)
			}
		}
		// Nothing but space and quotes is lost.
		bare := strings.NewReplacer(`"`, "", "'", "", " ", "", "\t", "", "\n", "", "\v", "", "\f", "", "\r", "")
		if g, w := bare.Replace(strings.Join(got, "")), bare.Replace(text); g != w {
			t.Errorf("%q became %q", text, got)
		}
	})
}
