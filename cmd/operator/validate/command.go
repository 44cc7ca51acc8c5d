package validate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/robustmq/robustmq-operator/config/crd"
	"github.com/robustmq/robustmq-operator/internal/validate"
)

const long = `Judge manifests of robustmq.io without a cluster, for the CI of those who keep them in git:
the same definitions (schema, defaults, CEL) and the same rules as the API server and the operator's webhooks.

Files may hold many documents and lists; other kinds are passed over. In a folder all files below it that end with .yaml, .yml or .json are read.
Patches and templates are no manifests: render them first (kustomize build . | robustmq-operator validate -f -).

RobustMQPolicy documents apply to the clusters beside them, in namespaces whose labels they select; Namespace documents tell the labels.
With --against, what is judged is the change from what exists there, so that rules about changes (StorageOnlyGrows, NoShrinkBelowQuorum, ...) are asked too:
kubectl get robustmq -A -o yaml > live.yaml, or the files of the branch that is deployed.

Exit code: 0 everything would be let in, with or without warnings; 1 something would be refused; 2 a wrong flag, or something that cannot be read.`

const example = `  robustmq-operator validate -f deploy/
  kustomize build overlays/production | robustmq-operator validate -f - --policy policies/production.yaml
  robustmq-operator validate -f cluster.yaml --against live.yaml -o json`

// Ended is an error that says how the program ends. Its text is for the standard error; what was found stands in the report.
type Ended struct {
	Code int
	Err  error
}

func (e *Ended) Error() string { return e.Err.Error() }
func (e *Ended) Unwrap() error { return e.Err }

// ExitCode of the program.
func (e *Ended) ExitCode() int { return e.Code }

var errNotAdmitted = errors.New("not everything would be let in")

type options struct {
	files, against, policies []string
	output, serverImage      string
	verbose                  bool
}

// NewCommand makes the command. serverImage is the operator's own default.
func NewCommand(serverImage string) *cobra.Command {
	o := &options{output: "text", serverImage: serverImage}
	cmd := &cobra.Command{
		Use: "validate -f FILE...", Short: "Judge manifests offline, as the API server and the webhooks would", Long: long, Example: example,
		SilenceUsage: true, SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("%q: name files with -f", args[0]))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return run(cmd.Context(), o, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	f := cmd.Flags()
	f.StringArrayVarP(&o.files, "filename", "f", nil, "file or folder to judge, - for the standard input; may be given many times (required)")
	f.StringArrayVar(&o.against, "against", nil, "file or folder with what exists: what is judged is then the change from it")
	f.StringArrayVar(&o.policies, "policy", nil, "file or folder with RobustMQPolicies (and Namespaces) that apply, without being judged themselves")
	f.StringVar(&o.serverImage, "server-image", o.serverImage, "the operator's flag of that name: policies about images judge it where a cluster names no image")
	f.StringVarP(&o.output, "output", "o", o.output, "text or json")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "text: name what is well and what was passed over too")
	return cmd
}

func usage(err error) error {
	return &Ended{Code: 2, Err: fmt.Errorf("%w (robustmq-operator validate --help)", err)}
}

func run(ctx context.Context, o *options, in io.Reader, out io.Writer) error {
	switch {
	case len(o.files) == 0:
		return usage(errors.New("name at least one file with -f"))
	case o.output != "text" && o.output != "json":
		return usage(fmt.Errorf("--output %q: say text or json", o.output))
	case times(stdin, o.files, o.against, o.policies) > 1:
		return usage(errors.New("the standard input can be read once"))
	}
	input := Input{KnowsExisting: len(o.against) > 0, ServerImage: o.serverImage}
	for _, r := range []struct {
		into  *validate.Contents
		names []string
	}{{&input.Files, o.files}, {&input.Existing, o.against}, {&input.Policies, o.policies}} {
		if err := readAll(r.into, r.names, in); err != nil {
			return &Ended{Code: 2, Err: err}
		}
	}
	defs, err := validate.Load(crd.Files)
	if err != nil {
		return &Ended{Code: 2, Err: err}
	}
	report, err := Judge(ctx, defs, input)
	if err != nil {
		return &Ended{Code: 2, Err: err}
	}
	if o.output == "json" {
		err = report.writeJSON(out)
	} else {
		err = report.writeText(out, o.verbose)
	}
	if err != nil {
		return &Ended{Code: 2, Err: fmt.Errorf("writing the report: %w", err)}
	}
	if code := report.ExitCode(); code != 0 {
		return &Ended{Code: code, Err: errNotAdmitted}
	}
	return nil
}

// times counts how often a name is given.
func times(name string, lists ...[]string) int {
	n := 0
	for _, e := range slices.Concat(lists...) {
		if e == name {
			n++
		}
	}
	return n
}
