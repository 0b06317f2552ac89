package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"tend/internal/errs"
)

func TestSelect(t *testing.T) {
	places := []Place{
		{0, "api", "default", "/srv/api.js"},
		{1, "api", "default", "/srv/api.js"},
		{2, "worker", "jobs", "/srv/worker.js"},
		{3, "5", "default", "/srv/five.js"},
		{5, "jobs", "default", "/srv/jobs.js"},
		{6, "web-1", "8", "/srv/web.js"},
		{8, "web-2", "web", "/srv/web.js"},
	}
	for name, test := range map[string]struct {
		target, cwd string
		want        []int
		problem     string // "": none
	}{
		"every app":                          {"all", "", []int{0, 1, 2, 3, 5, 6, 8}, ""},
		"a name":                             {"api", "", []int{0, 1}, ""},
		"a script in the directory":          {"worker.js", "/srv", []int{2}, ""},
		"a script by a relative path":        {"../srv/./worker.js", "/etc", []int{2}, ""},
		"a script by its path":               {"/srv/web.js", "/tmp", []int{6, 8}, ""},
		"no script from nowhere":             {"worker.js", "", nil, "no app and no namespace has this name"},
		"a script of another directory":      {"worker.js", "/tmp", nil, "no app and no namespace has this name"},
		"a namespace":                        {"web", "", []int{8}, ""},
		"a name wins over a namespace":       {"jobs", "", []int{5}, ""},
		"an id":                              {"2", "", []int{2}, ""},
		"a name wins over an id":             {"5", "", []int{3}, ""},
		"a namespace wins over an id":        {"8", "", []int{6}, ""},
		"no such id":                         {"99", "", nil, "no app has this id"},
		"no negative id":                     {"-1", "", nil, "no app has this id"},
		"no such name":                       {"nosuch", "", nil, "no app and no namespace has this name"},
		"an expression over names":           {"/^web-/", "", []int{6, 8}, ""},
		"an expression is not of namespaces": {"/^default$/", "", nil, "no name of an app matches"},
		"an expression that nothing matches": {"/zzz/", "", nil, "no name of an app matches"},
		"an expression with slashes in it":   {"/a|/x/", "", []int{0, 1}, ""},
		"half an expression":                 {"/api", "/srv", nil, "no app and no namespace has this name"},
		"an empty expression":                {"//", "/srv", nil, "no app and no namespace has this name"},
		"names differ by their case":         {"API", "", nil, "no app and no namespace has this name"},
		"a part of a name":                   {"wor", "", nil, "no app and no namespace has this name"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Select(test.target, test.cwd, places)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.target, diff)
			}
			if test.problem == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.problem) || errs.KindOf(err) != errs.NotFound {
				t.Errorf("error %v of kind %v, want %q of kind not_found", err, errs.KindOf(err), test.problem)
			}
		})
	}
}

func TestSelectOnAnEmptyList(t *testing.T) {
	for _, target := range []string{"all", "api", "0", "/a/"} {
		ids, err := Select(target, "/srv", nil)
		if len(ids) > 0 || errs.KindOf(err) != errs.NotFound {
			t.Errorf("%s: %v, %v; want nothing and not_found", target, ids, err)
		}
	}
}

func TestSelectRefusesABrokenExpression(t *testing.T) {
	for _, target := range []string{"/(/", "/a(?=b)/", `/(a)\1/`} {
		_, err := Select(target, "", []Place{{Name: "a"}})
		if errs.KindOf(err) != errs.Invalid || !strings.Contains(err.Error(), "error parsing regexp") {
			t.Errorf("%s: %v of kind %v, want an invalid one", target, err, errs.KindOf(err))
		}
	}
}
