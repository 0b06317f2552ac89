package supervisor

import (
	"testing"

	"go.uber.org/goleak"

	"tend/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m, func() error { return goleak.Find() }) }
