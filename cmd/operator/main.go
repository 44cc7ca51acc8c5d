// Command operator is the manager: the controllers and the admission webhooks of robustmq.io.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/robustmq/robustmq-operator/cmd/operator/backup"
	"github.com/robustmq/robustmq-operator/cmd/operator/validate"
)

// version is set at link time.
var version = "dev"

func main() {
	if err := newCommand().ExecuteContext(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, "robustmq-operator:", err)
		code := 1
		var ended interface{ ExitCode() int } // of validate and backup
		if errors.As(err, &ended) {
			code = ended.ExitCode()
		}
		os.Exit(code)
	}
}

func newCommand() *cobra.Command {
	o := defaultOptions()
	cmd := &cobra.Command{
		Use:           "robustmq-operator",
		Short:         "Run and keep RobustMQ clusters on Kubernetes",
		Version:       version,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	o.bind(cmd.Flags())
	cmd.AddCommand(validate.NewCommand(o.serverImage), backup.NewCommand())
	return cmd
}
