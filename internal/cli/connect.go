package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"tend/api"
	"tend/client"
	"tend/internal/errs"
)

// Connect is a client of the daemon. Where none runs it starts one when spawn
// is set, and otherwise returns client.ErrAbsent.
func (e *Env) Connect(ctx context.Context, spawn bool) (*client.Client, error) {
	c := client.New(e.Home.Socket())
	pong, err := c.Ping(ctx)
	switch {
	case err == nil:
	case !errors.Is(err, client.ErrAbsent):
		if bad := e.Home.Make(); bad != nil { // it says more than its socket does
			err = bad
		}
	case spawn:
		pong, err = e.spawn(ctx, c)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	if pong.Version != "" && pong.Version != e.Version {
		e.warn("the daemon is version %s and this is %s; `%s update` brings it to this one", pong.Version, e.Version, e.Program)
	}
	return c, nil
}

func (e *Env) spawn(ctx context.Context, c *client.Client) (api.Pong, error) {
	if e.stays {
		var err error
		if e.owner, err = e.own(ctx); err != nil {
			return api.Pong{}, err
		}
		return c.Ping(ctx)
	}
	if err := e.besidePM2(ctx); err != nil {
		return api.Pong{}, err
	}
	spawned, err := e.Launch(ctx)
	if err != nil {
		return api.Pong{}, err
	}
	pong, err := c.Ping(ctx)
	if err == nil && spawned && e.Getenv("PM2_DISCRETE_MODE") == "" {
		e.note("Started the daemon, pid %d, home %s", pong.PID, e.Home)
	}
	return pong, err
}

// besidePM2 is the error of a home in which PM2 itself runs: a second manager
// there would run each app a second time.
func (e *Env) besidePM2(ctx context.Context) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", e.Home.PM2Socket())
	if err != nil {
		return nil //nolint:nilerr // nobody listens there
	}
	_ = conn.Close() // nothing was sent
	text, _ := os.ReadFile(e.Home.PM2Pid())
	pid := strings.TrimSpace(string(text))
	if _, err := strconv.Atoi(pid); err != nil {
		pid = "PID"
	}
	return &errs.Error{
		Op: "use home", On: string(e.Home), Kind: errs.Exists,
		Err:  fmt.Errorf("PM2 itself runs in it, pid %s, and the apps of its list with it", pid),
		Hint: fmt.Sprintf("`kill %s` ends PM2 and its apps; `tend resurrect` then starts what it has saved", pid),
	}
}

// with runs do with a client of the daemon, which is started where none runs.
func (e *Env) with(ctx context.Context, do func(*client.Client) error) error {
	c, err := e.Connect(ctx, true)
	if err != nil {
		return err
	}
	defer c.Close()
	return do(c)
}
