package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/image"
	"github.com/robustmq/robustmq-operator/backup/image/rocksdb"
	"github.com/robustmq/robustmq-operator/backup/store"
)

const long = `List, read, verify and download backups without a cluster and without the operator: from the bucket, or from a directory that a bucket was copied into.
Only metadata is in a backup (users, ACLs, topics, schemas, connectors, sessions, offsets, raft state); messages are not.

The place is named by --bucket and its companions, by -f with a file that has the cluster (its spec.backup.destination is read), or by --dir.
Credentials are never given as flags. The first of these that is there counts:
  --credentials-dir DIRECTORY   files accessKey, secretKey and, if needed, sessionToken, as in the Secret of the destination
  --credentials-file FILE       in the form of ~/.aws/credentials, with --profile
  AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN
  AWS_WEB_IDENTITY_TOKEN_FILE, AWS_CONTAINER_CREDENTIALS_*_URI, as EKS and ECS set them
  ~/.aws/credentials and ~/.aws/config, with AWS_PROFILE
  --instance-role               the role of the machine, on EC2

ID is a backup's name in the list, the key of its manifest (status.key of a RobustMQBackup), its name where only one has it, or "latest": the newest good one.

Exit code: 0 all is well; 1 something was found that is not what it should be; 2 a wrong flag or argument; 3 it could not be done (the place cannot be reached,
this machine has no space), which says nothing about the backup; 130 it was interrupted.`

const example = `  robustmq-operator backup list --bucket robustmq-backups --prefix production/eu --region eu-central-1
  robustmq-operator backup verify latest -f cluster.yaml
  robustmq-operator backup download latest -f cluster.yaml --into ./metadata --identity-file key.txt
  robustmq-operator backup extract /var/lib/robustmq/data --into ./metadata`

// Exit codes of the commands.
const (
	codeWrong       = 1   // something is not what it should be
	codeUsage       = 2   // a flag or an argument
	codeUndone      = 3   // it could not be done
	codeInterrupted = 130 // as a shell says it of SIGINT
)

// Ended is an error that says how the program ends. Its text is for the standard error; what was found stands in the report.
type Ended struct {
	Code int
	Err  error
}

func (e *Ended) Error() string { return e.Err.Error() }
func (e *Ended) Unwrap() error { return e.Err }

// ExitCode of the program.
func (e *Ended) ExitCode() int { return e.Code }

func usage(format string, args ...any) error {
	return &Ended{Code: codeUsage, Err: fmt.Errorf(format, args...)}
}

// ended finds the exit code of an error.
func ended(ctx context.Context, err error) error {
	var (
		known    *Ended
		identity *archive.IdentityError
		broken   *archive.BrokenError
		place    *store.Error
		corrupt  *rocksdb.CorruptError
		torn     *rocksdb.TornError
		gap      *image.SequenceGapError
	)
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case ctx.Err() != nil:
		return &Ended{Code: codeInterrupted, Err: fmt.Errorf("interrupted: %w", err)}
	case errors.As(err, &identity):
		return usage("--identity-file: %w", err)
	case errors.As(err, &broken), errors.As(err, &corrupt), errors.As(err, &torn), errors.As(err, &gap):
		return &Ended{Code: codeWrong, Err: err}
	case errors.As(err, &place) && place.Op == "configure":
		return &Ended{Code: codeUsage, Err: err}
	}
	return &Ended{Code: codeUndone, Err: err}
}

// tool is what the commands share.
type tool struct {
	place    place
	output   string
	out, err io.Writer
	in       io.Reader
	fs       image.FS // of extract
	now      func() time.Time
	backoff  func(attempt int) time.Duration // nil: the store's own
	terminal bool                            // err is one
}

// NewCommand makes the command.
func NewCommand() *cobra.Command { return newCommand(&tool{fs: image.OS{}, now: time.Now}) }

func newCommand(t *tool) *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup", Short: "Look at backups, verify and download them, without a cluster", Long: long, Example: example,
		SilenceUsage: true, SilenceErrors: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("%q: say list, show, verify, download or extract (robustmq-operator backup --help)", args[0])
			}
			return usage("say list, show, verify, download or extract (robustmq-operator backup --help)")
		},
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage("%w (%s --help)", err, cmd.CommandPath())
	})
	cmd.AddCommand(listCommand(t), showCommand(t), verifyCommand(t), downloadCommand(t), extractCommand(t))
	return cmd
}

// command makes one of the subcommands; run returns any error, and the exit code is found here.
func (t *tool) command(use, short, long string, most int, run func(ctx context.Context, args []string) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, SilenceUsage: true, SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > most {
				return usage("%q: %s takes at most %d argument (%s --help)", args[most], cmd.Name(), most, cmd.CommandPath())
			}
			return nil
		},
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		t.place.flags = cmd.Flags()
		t.out, t.err, t.in = cmd.OutOrStdout(), cmd.ErrOrStderr(), cmd.InOrStdin()
		if f, ok := t.err.(*os.File); ok {
			t.terminal = term.IsTerminal(int(f.Fd()))
		}
		switch t.output {
		case text, asJSON, asYAML:
		default:
			return usage("--output %q: say text, json or yaml", t.output)
		}
		return ended(cmd.Context(), run(cmd.Context(), args))
	}
	cmd.Flags().StringVarP(&t.output, "output", "o", text, "text, json or yaml")
	return cmd
}

// note tells something that is no part of the report.
func (t *tool) note(format string, args ...any) { fmt.Fprintf(t.err, "note: "+format+"\n", args...) }
