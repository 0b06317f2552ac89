package sysinfo

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tend/internal/errs"
)

// slowScanner looks for a second, and numbers its looks by their ticks.
func slowScanner() (*Scanner, *int) {
	looks := new(int)
	s := NewScanner()
	s.look = func() (*Table, error) {
		*looks++
		t := newTable(time.Now(), uint64(*looks), nil, nil)
		time.Sleep(time.Second)
		return t, nil
	}
	return s, looks
}

func TestScansThatComeTogetherShareALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, looks := slowScanner()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = s.Run(ctx) })
		synctest.Wait()

		scan := func() {
			called := time.Now()
			table, err := s.Scan(ctx)
			if err != nil {
				t.Errorf("scan: %v", err)
				return
			}
			if table.At.Before(called) {
				t.Errorf("the look began %v before the call", called.Sub(table.At))
			}
		}
		var scans sync.WaitGroup
		scans.Go(scan)
		time.Sleep(500 * time.Millisecond) // the first look is under way
		for range 50 {
			scans.Go(scan)
		}
		scans.Wait()
		if *looks != 2 {
			t.Errorf("51 scans took %d looks, want 2", *looks)
		}
		cancel()
		wg.Wait()
	})
}

func TestScanEndsWithItsContextAndWithTheScanner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := slowScanner()
		impatient, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, errors.New("bored"))
		defer cancel()
		if _, err := s.Scan(impatient); err == nil || err.Error() != "bored" {
			t.Errorf("scan before Run: %v, want bored", err)
		}

		ctx, stop := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Run(ctx); err == nil || err.Error() != "enough" {
				t.Errorf("run: %v, want enough", err)
			}
		})
		impatient, cancel = context.WithTimeoutCause(t.Context(), 500*time.Millisecond, errors.New("bored"))
		defer cancel()
		if _, err := s.Scan(impatient); err == nil || err.Error() != "bored" {
			t.Errorf("scan during a look: %v, want bored", err)
		}
		stop(errors.New("enough"))
		wg.Wait()
		if _, err := s.Scan(t.Context()); errs.KindOf(err) != errs.Unavailable {
			t.Errorf("scan after the end: %v, want unavailable", err)
		}
	})
}
