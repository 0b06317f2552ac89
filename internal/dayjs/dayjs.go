// Package dayjs writes times in the formats of day.js and moment, which PM2's
// users know from log_date_format: "YYYY-MM-DD HH:mm:ss.SSS Z".
//
// It knows the tokens of day.js and of its plugins advancedFormat and
// localizedFormat, in English, and those of moment that only say more with a
// letter that day.js knows too (DDD, SS, Mo). Where the two disagree, day.js is
// right. It reads no times, and keeps none.
package dayjs

import (
	"strings"
	"time"
)

// tokens are all that a format may ask for. The longer of two that begin alike
// stands first.
const tokens = "YYYY YY Y Qo Q MMMM MMM MM Mo M DDDD DDDo DDD DD Do D dddd ddd dd do d " +
	"gggg gg GGGG GG wo ww w Wo WW W " +
	"HH H hh h kk k mm m ss s SSSSSSSSS SSSSSSSS SSSSSSS SSSSSS SSSSS SSSS SSS SS S A a " +
	"ZZ Z zzz zz z X x " +
	"LTS LT LLLL LLL LL L llll lll ll l"

// Format is a format that was read.
type Format struct {
	parts    []part
	coarsest time.Duration
}

// part is a token, or text that stands for itself.
type part struct {
	text  string
	token bool
}

// Parse reads a format. It takes any: what is no token stays as it is, and so
// does what stands in [brackets], which go.
func Parse(format string) *Format {
	f := &Format{coarsest: time.Minute}
	f.parse(format)
	return f
}

// Coarsest is the longest time within which the output cannot change, counted
// from the beginning of Unix time: one of 1, 10 and 100 ms, a second and a
// minute. It is never more, for in all zones of today hours and days begin with a minute,
// but not with the same one.
func (f *Format) Coarsest() time.Duration { return f.coarsest }

// Append adds t, in its own zone, to b.
func (f *Format) Append(b []byte, t time.Time) []byte {
	c := civil{Time: t}
	c.year, c.month, c.day = t.Date()
	c.hour, c.minute, c.second = t.Clock()
	for _, p := range f.parts {
		if p.token {
			b = c.append(b, p.text)
		} else {
			b = append(b, p.text...)
		}
	}
	return b
}

func (f *Format) parse(format string) {
	for format != "" {
		if text, ok := escaped(format); ok {
			f.addText(text)
			format = format[len("[")+len(text)+len("]"):]
			continue
		}
		token := leadingToken(format)
		if token == "" {
			f.addText(format[:1])
			format = format[1:]
			continue
		}
		f.addToken(token)
		format = format[len(token):]
	}
}

// escaped is the text in brackets that a format begins with. Brackets around
// nothing are no brackets.
func escaped(format string) (text string, ok bool) {
	rest, ok := strings.CutPrefix(format, "[")
	if !ok {
		return "", false
	}
	text, _, ok = strings.Cut(rest, "]")
	return text, ok && text != ""
}

// leadingToken is the token that a format begins with, "" if there is none.
func leadingToken(format string) string {
	for token := range strings.FieldsSeq(tokens) {
		if strings.HasPrefix(format, token) {
			return token
		}
	}
	return ""
}

func (f *Format) addText(text string) {
	if last := len(f.parts) - 1; last >= 0 && !f.parts[last].token {
		f.parts[last].text += text
		return
	}
	f.parts = append(f.parts, part{text: text})
}

func (f *Format) addToken(token string) {
	if long := localized(token); long != "" {
		f.parse(long)
		return
	}
	f.parts = append(f.parts, part{text: token, token: true})
	f.coarsest = min(f.coarsest, lasts(token))
}

// localized is the format that a token is short for, "" if it is for none.
func localized(token string) string {
	switch token {
	case "LT":
		return "h:mm A"
	case "LTS":
		return "h:mm:ss A"
	case "L":
		return "MM/DD/YYYY"
	case "l":
		return "M/D/YYYY"
	case "LL":
		return "MMMM D, YYYY"
	case "ll":
		return "MMM D, YYYY"
	case "LLL":
		return "MMMM D, YYYY h:mm A"
	case "lll":
		return "MMM D, YYYY h:mm A"
	case "LLLL":
		return "dddd, MMMM D, YYYY h:mm A"
	case "llll":
		return "ddd, MMM D, YYYY h:mm A"
	}
	return ""
}

// lasts is how long what a token says stays the same.
func lasts(token string) time.Duration {
	switch token {
	case "s", "ss", "X":
		return time.Second
	case "S":
		return 100 * time.Millisecond
	case "SS":
		return 10 * time.Millisecond
	case "x":
		return time.Millisecond
	}
	if strings.HasPrefix(token, "SSS") {
		return time.Millisecond
	}
	return time.Minute
}
