package dayjs

import (
	"strconv"
	"strings"
	"time"
)

// civil is a time as people tell it.
type civil struct {
	time.Time

	year                 int
	month                time.Month
	day                  int
	hour, minute, second int
}

// append adds what a token asks for.
func (c *civil) append(b []byte, token string) []byte {
	switch token {
	case "MMMM":
		return append(b, c.month.String()...)
	case "MMM":
		return append(b, c.month.String()[:len("Jan")]...)
	case "dddd":
		return append(b, c.Weekday().String()...)
	case "ddd", "dd":
		return append(b, c.Weekday().String()[:len(token)]...)
	case "A":
		return append(b, half(c.hour, "AM", "PM")...)
	case "a":
		return append(b, half(c.hour, "am", "pm")...)
	case "Z":
		return c.appendOffset(b, ":")
	case "ZZ":
		return c.appendOffset(b, "")
	case "z", "zz", "zzz":
		name, _ := c.Zone()
		return append(b, name...)
	case "X":
		return strconv.AppendInt(b, c.Unix(), 10)
	case "x":
		return strconv.AppendInt(b, c.UnixMilli(), 10)
	case "Y":
		return appendPadded(b, c.year, 4)
	case "DDD":
		return appendPadded(b, c.YearDay(), 1)
	case "DDDD":
		return appendPadded(b, c.YearDay(), 3)
	}
	if token[0] == 'S' {
		return c.appendFraction(b, len(token))
	}
	if of, ok := strings.CutSuffix(token, "o"); ok {
		return appendOrdinal(b, c.number(of))
	}
	return appendPadded(b, c.number(token), len(token))
}

// number is what a token counts.
func (c *civil) number(token string) int {
	switch token {
	case "YYYY":
		return c.year
	case "YY":
		return c.year % 100
	case "Q":
		return (int(c.month) + 2) / 3
	case "M", "MM":
		return int(c.month)
	case "D", "DD":
		return c.day
	case "DDD":
		return c.YearDay()
	case "d":
		return int(c.Weekday())
	case "H", "HH":
		return c.hour
	case "h", "hh":
		return (c.hour+11)%12 + 1
	case "k", "kk":
		return (c.hour+23)%24 + 1
	case "m", "mm":
		return c.minute
	case "s", "ss":
		return c.second
	}
	return c.weekNumber(token)
}

// weekNumber is what the tokens of weeks count: with W and G those of ISO 8601,
// with w and g those of America.
func (c *civil) weekNumber(token string) int {
	var year, week int
	switch token[0] {
	case 'W', 'G':
		year, week = c.ISOWeek()
	default:
		year, week = c.sundayWeek()
	}
	switch token {
	case "gg", "GG":
		return year % 100
	case "gggg", "GGGG":
		return year
	}
	return week
}

// sundayWeek is the week of a year whose first has the first of January in it,
// and which begins on Sunday. It belongs to the year of its Saturday.
func (c *civil) sundayWeek() (year, week int) {
	saturday := time.Date(c.year, c.month, c.day+int(time.Saturday-c.Weekday()), 0, 0, 0, 0, time.UTC)
	return saturday.Year(), (saturday.YearDay()-1)/7 + 1
}

func half(hour int, first, second string) string {
	if hour < 12 {
		return first
	}
	return second
}

// appendOffset adds how far the zone is from UTC, in hours and minutes.
func (c *civil) appendOffset(b []byte, between string) []byte {
	_, seconds := c.Zone()
	sign := byte('+')
	if seconds < 0 {
		sign, seconds = '-', -seconds
	}
	b = appendPadded(append(b, sign), seconds/3600, 2)
	b = append(b, between...)
	return appendPadded(b, seconds/60%60, 2)
}

// appendFraction adds the first digits of the second's fraction. Beyond
// milliseconds they are zero, for JavaScript's times have no more.
func (c *civil) appendFraction(b []byte, digits int) []byte {
	begin := len(b)
	b = appendPadded(b, c.Nanosecond()/int(time.Millisecond), 3)
	for range digits - 3 {
		b = append(b, '0')
	}
	return b[:begin+digits]
}

// appendOrdinal adds 1st, 2nd, 3rd, 4th.
func appendOrdinal(b []byte, n int) []byte {
	b = strconv.AppendInt(b, int64(n), 10)
	ending := "th"
	if n/10%10 != 1 {
		switch n % 10 {
		case 1:
			ending = "st"
		case 2:
			ending = "nd"
		case 3:
			ending = "rd"
		}
	}
	return append(b, ending...)
}

// appendPadded adds n with at least so many digits.
func appendPadded(b []byte, n, digits int) []byte {
	if n < 0 {
		b, n = append(b, '-'), -n
	}
	for power := 10; digits > 1; digits-- {
		if n < power {
			b = append(b, '0')
		}
		power *= 10
	}
	return strconv.AppendInt(b, int64(n), 10)
}
