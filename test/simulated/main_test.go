package simulated

import (
	"context"
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/robustmq/robustmq-operator/test/simulated/world"
)

// env is one control plane for all tests of the package.
var env *world.Environment

func TestMain(m *testing.M) {
	flag.Parse()
	// A world waits most of its time: more of them than cores can live side by side.
	if err := setUnlessGiven("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, "simulated:", err)
		os.Exit(1)
	}
	ctrl.SetLogger(logr.Discard()) // every operator has a logger of its own, into a file of its world
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var err error
	if env, err = world.StartEnvironment(ctx, "../../config"); err != nil {
		fmt.Fprintln(os.Stderr, "simulated:", err)
		return 1
	}
	code := m.Run()
	cancel()
	if err := env.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "simulated: stop the control plane:", err)
		return 1
	}
	return code
}

func setUnlessGiven(name, value string) error {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return nil
	}
	return flag.Set(name, value)
}

// long keeps a test out of the usual runs that takes minutes: SIM_LONG=1 (make soak) runs it.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("SIM_LONG") == "" {
		t.Skip("it takes minutes: only with SIM_LONG=1 (make soak)")
	}
}
