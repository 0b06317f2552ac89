package app

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"tend/internal/errs"
)

// Place is what a target may name an instance by.
type Place struct {
	ID        int
	Name      string
	Namespace string
	Script    string
}

// Select is the ids of the instances that target names, in the order of
// places (pm2-surface 1.2): "all"; "/regex/" over names; a name, or the path
// of a script as seen from cwd; a namespace; and, for a number that is none of
// these, an id. An error of kind NotFound when there is none.
func Select(target, cwd string, places []Place) ([]int, error) {
	if target == "all" {
		if ids := where(places, func(Place) bool { return true }); len(ids) > 0 {
			return ids, nil
		}
		return nil, none(target, "no app is in the list")
	}
	if len(target) > 2 && strings.HasPrefix(target, "/") && strings.HasSuffix(target, "/") {
		re, err := regexp.Compile(target[1 : len(target)-1])
		if err != nil {
			return nil, &errs.Error{
				Op: "read target", On: target, Kind: errs.Invalid, Err: err,
				Hint: "regular expressions are Go's (RE2): no look-ahead and no back-references",
			}
		}
		if ids := where(places, func(p Place) bool { return re.MatchString(p.Name) }); len(ids) > 0 {
			return ids, nil
		}
		return nil, none(target, "no name of an app matches")
	}
	script := target
	if !filepath.IsAbs(script) {
		script = filepath.Join(cwd, target)
	}
	id, numErr := strconv.Atoi(target)
	for _, match := range []func(Place) bool{
		func(p Place) bool { return p.Name == target || cwd != "" && p.Script == script },
		func(p Place) bool { return p.Namespace == target },
		func(p Place) bool { return numErr == nil && p.ID == id },
	} {
		if ids := where(places, match); len(ids) > 0 {
			return ids, nil
		}
	}
	if numErr == nil {
		return nil, none(target, "no app has this id")
	}
	return nil, none(target, "no app and no namespace has this name")
}

func where(places []Place, match func(Place) bool) []int {
	var ids []int
	for _, p := range places {
		if match(p) {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

func none(target, why string) error {
	return &errs.Error{
		Op: "find", On: target, Kind: errs.NotFound, Err: fmt.Errorf("%s", why),
		Hint: "`tend ls` shows what there is",
	}
}
