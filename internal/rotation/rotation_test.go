package rotation

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"tend/api"
)

func TestSet(t *testing.T) {
	const mega = 1 << 20
	for name, tt := range map[string]struct {
		field, text string
		change      func(r *api.Rotation)
		say         string // "": it is read
	}{
		"a size":                    {"max_size", "10M", func(r *api.Rotation) { r.MaxSize = 10 * mega }, ""},
		"a size with space around":  {"max_size", " 10M ", func(r *api.Rotation) { r.MaxSize = 10 * mega }, ""},
		"a size in bytes":           {"max_size", "1048576", func(r *api.Rotation) { r.MaxSize = mega }, ""},
		"no size at all":            {"max_size", "0", func(r *api.Rotation) { r.MaxSize = 0 }, ""},
		"no size, as a flag":        {"max_size", "false", func(r *api.Rotation) { r.MaxSize = 0 }, ""},
		"what is no size":           {"max_size", "lots", nil, `"lots" is not a size`},
		"an empty size":             {"max_size", "", nil, `"" is not a size`},
		"a number of files":         {"retain", "3", func(r *api.Rotation) { r.Retain = 3 }, ""},
		"all files":                 {"retain", "all", func(r *api.Rotation) { r.Retain = RetainAll }, ""},
		"no file":                   {"retain", "0", nil, `"0" is not a number above 0, and not "all"`},
		"some files":                {"retain", "some", nil, `"some" is not a number above 0`},
		"an age":                    {"max_age", "7d", func(r *api.Rotation) { r.MaxAge = 7 * 24 * 3_600_000 }, ""},
		"what is no age":            {"max_age", "old", nil, `"old" is not a duration`},
		"a cap":                     {"total_cap", "1G", func(r *api.Rotation) { r.TotalCap = 1 << 30 }, ""},
		"every midnight":            {"interval", "0 0 * * *", func(r *api.Rotation) { r.Interval = "0 0 * * *" }, ""},
		"no interval":               {"interval", "false", func(r *api.Rotation) { r.Interval = "" }, ""},
		"an interval cut short":     {"interval", "0 0", nil, `cron pattern "0 0": want minute`},
		"compressed":                {"compress", "true", func(r *api.Rotation) { r.Compress = "gzip" }, ""},
		"compressed by name":        {"compress", "zstd", func(r *api.Rotation) { r.Compress = "zstd" }, ""},
		"not compressed":            {"compress", "false", func(r *api.Rotation) { r.Compress = "" }, ""},
		"compressed by a stranger":  {"compress", "lzma", nil, `"lzma" is none of true, false`},
		"a date":                    {"date_format", "YYYY-MM", func(r *api.Rotation) { r.DateFormat = "YYYY-MM" }, ""},
		"off":                       {"off", "true", func(r *api.Rotation) { r.Off = true }, ""},
		"neither on nor off":        {"off", "1", nil, `"1" is neither true nor false`},
		"a field that nobody knows": {"maxsize", "1M", nil, `unknown field "maxsize"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, want := Default(), Default()
			got.Interval, want.Interval = "0 3 * * *", "0 3 * * *"
			err := Set(&got, tt.field, tt.text)
			if tt.change != nil {
				tt.change(&want)
			}
			if (err == nil) != (tt.say == "") || err != nil && !strings.Contains(err.Error(), tt.say) {
				t.Errorf("got error %v, want %q", err, tt.say)
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	const asDate = "use tokens for numbers, at least year and month: YYYY-MM-DD_HH-mm-ss"
	for name, tt := range map[string]struct {
		r   api.Rotation
		say string
	}{
		"the default":                 {Default(), ""},
		"none":                        {api.Rotation{}, ""},
		"all files":                   {api.Rotation{Retain: RetainAll}, ""},
		"fewer than all":              {api.Rotation{Retain: -2}, "retain: -2 is negative"},
		"a size below 0":              {api.Rotation{MaxSize: -1}, "max_size: -1 is negative"},
		"an age below 0":              {api.Rotation{MaxAge: -1}, "max_age: -1 is negative"},
		"a cap below 0":               {api.Rotation{TotalCap: -1}, "total_cap: -1 is negative"},
		"a slip of the finger":        {api.Rotation{MaxSize: 10}, `max_size: 10 bytes are less than 1K; ten megabytes are "10M"`},
		"a way to compress":           {api.Rotation{Compress: "xz"}, `compress: "xz" is neither gzip nor zstd`},
		"an interval":                 {api.Rotation{Interval: "0 0 31 2 *"}, `interval: cron pattern "0 0 31 2 *": that never comes`},
		"a date that is a path":       {api.Rotation{DateFormat: "YYYY/MM"}, `date_format: "YYYY/MM" dates a file "2001/09"; ` + asDate},
		"two things, told both":       {api.Rotation{MaxSize: -1, Compress: "xz"}, "max_size: -1 is negative\ncompress: \"xz\" is neither gzip nor zstd"},
		"a pattern that has seconds":  {api.Rotation{Interval: "*/5 0 0 * * *"}, ""},
		"a date with everything else": {api.Rotation{DateFormat: "YYYY-MM-DD_HH-mm-ss.SSSZZ"}, ""},
		"a date without a month":      {api.Rotation{DateFormat: "YYYY"}, `date_format: "YYYY" dates a file "2001"; ` + asDate},
		"a date with letters":         {api.Rotation{DateFormat: "YYYY-MM-DD[T]HH"}, `date_format: "YYYY-MM-DD[T]HH" dates a file "2001-09-09T01"; ` + asDate},
		"a date that ends in a dash":  {api.Rotation{DateFormat: "YYYYMM-"}, `date_format: "YYYYMM-" dates a file "200109-"; ` + asDate},
		"a date in two parts":         {api.Rotation{DateFormat: "YYYY__MM"}, `date_format: "YYYY__MM" dates a file "2001__09"; ` + asDate},
	} {
		t.Run(name, func(t *testing.T) {
			err, text := Check(&tt.r), ""
			if err != nil {
				text = err.Error()
			}
			if diff := cmp.Diff(text, tt.say); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

// What Set takes is sound, but for sizes that are too small, and what
// it refuses changes nothing.
func TestSetIsAllOrNothing(t *testing.T) {
	words := rapid.OneOf(
		rapid.SampledFrom([]string{"10M", "7d", "all", "true", "false", "zstd", "0", "-1", "5", "0 0 * * *", "* * *", ""}), rapid.String(),
	)
	rapid.Check(t, func(t *rapid.T) {
		r := Default()
		field := rapid.SampledFrom(Fields()).Draw(t, "field")
		err := Set(&r, field, words.Draw(t, "text"))
		switch {
		case err != nil && r != Default():
			t.Fatalf("refused %s: %v, and set it: %+v", field, err, r)
		case err == nil && field != "date_format" && field != "max_size" && Check(&r) != nil:
			t.Fatalf("took for %s what is not sound: %v", field, Check(&r))
		}
	})
}
