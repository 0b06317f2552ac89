package redact

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestVariable(t *testing.T) {
	for text, want := range map[string]string{
		"DB_PASSWORD=x": Hidden, "db_password=x": Hidden, "PGPASSWD=x": Hidden, "SECRET_KEY_BASE=x": Hidden, "GITHUB_TOKEN=x": Hidden, "dbpass=x": Hidden, "KEY=x": Hidden, "API_KEYS=x": Hidden, "AUTHOR=ann": "ann", "PASSENGERS=3": "3",
		"STRIPE_APIKEY=x": Hidden, "X_API_KEY=x": Hidden, "SSH_PRIVATE_KEY=x": Hidden, "GOOGLE_APPLICATION_CREDENTIALS=/x": Hidden,
		"AWS_ACCESS_KEY_ID=x": Hidden, "DB_PASSWORD=": "", "PATH=/bin": "/bin", "KEYBOARD=us": "us", "SSH_AUTH_SOCK=/x": "/x",
		"MYSQL_PWD=x": Hidden, "PWD=/x": "/x", "OLDPWD=/x": "/x", "ENCRYPTION_KEY=x": Hidden, "SSH_KEY=x": Hidden, "secretKey=x": Hidden,
		"MONKEY=x": "x", "AUTHORIZATION=Basic x": Hidden, "npm_config__auth=x": Hidden, "AUTH_MODE=basic": "basic", "CREDS=x": Hidden, "CREDIT=3": "3",
		"JWT=x": Hidden, "PASSCODE=x": Hidden, `J={"user":"ann","password":"x"}`: Hidden, "C=Server=db;Password=x;": Hidden, "C=Server=db;Pwd=x": Hidden,
		"H=Authorization: Bearer x": Hidden, "O=--token x --port 80": Hidden, "U=https://example.org/?api_key=x": Hidden,
		"T=a secret between us": "a secret between us", "P=/opt/pass:/bin": "/opt/pass:/bin",
		"U=postgres://ann:x@db:5432/prod?a=b@c": "postgres://ann:[hidden]@db:5432/prod?a=b@c",
		"U=redis://:x@cache":                    "redis://:[hidden]@cache",
		"U=amqp://ann:p@ss%w:rd@mq/":            "amqp://ann:[hidden]@mq/",
		"U=https://ann@example.org/":            "https://ann@example.org/",
		"U=https://example.org/@ann":            "https://example.org/@ann",
		"U=http://example.org:80/a:b@c":         "http://example.org:80/a:b@c",
		"U=see https://ann:x@example.org":       "see https://ann:x@example.org",
		"U=file:./dev.db":                       "file:./dev.db",
	} {
		name, value, _ := strings.Cut(text, "=")
		if got := Variable(name, value); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}

// TestNoPasswordIsLeft: whatever stands for the password of a URL is not shown.
func TestNoPasswordIsLeft(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		password := rapid.StringMatching(`[!-~]{0,8}Zq[!-~]{0,8}`).Draw(t, "password")
		if strings.ContainsAny(password, "/?#") {
			t.Skip("the URL ends before its host")
		}
		if got := Variable("U", "x://ann:"+password+"@host/path"); strings.Contains(got, "Zq") {
			t.Fatalf("got %q", got)
		}
	})
}

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		`["--token=hunter2"]`: Hidden, "mysql --password hunter2": Hidden, "curl http://ann:hunter2@x/": Hidden,
		`["--port=80"]`: `["--port=80"]`, `["/private"]`: `["/private"]`, "http://x:80/a@b": "http://x:80/a@b", "": "",
	} {
		if got := Text(text); got != want {
			t.Errorf("%s: got %q", text, got)
		}
	}
}
