package job

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/backup/store"
)

// failure is an error whose reason is known where it happens.
type failure struct {
	reason Reason
	err    error
	advice string
}

// fail makes an error with a reason. advice says what to do about it, and may be empty.
func fail(reason Reason, err error, advice string) error {
	return &failure{reason: reason, err: err, advice: advice}
}

// Error says what happened, and what to do.
func (f *failure) Error() string {
	if f.advice == "" {
		return f.err.Error()
	}
	return f.err.Error() + ": " + f.advice
}

// Unwrap is what happened.
func (f *failure) Unwrap() error { return f.err }

// deadlineError is the cause of a context that ended because nothing moved.
type deadlineError struct {
	limit time.Duration
	doing string
}

func (e *deadlineError) Error() string {
	return fmt.Sprintf("nothing moved for %s while %s", e.limit, e.doing)
}

// advice for reasons whose errors do not say what to do.
var advice = map[Reason]string{
	Interrupted: "the Job was told to end before it was done, by a drain of its node or by its own deadline: what it left behind is removed by a later collection; run it again",
	Deadline:    "look at the network between the Job's pod, the member and the bucket, and at how fast the bucket is; progressDeadline of the backup says how long to wait",
	ForeignOwner: "give each cluster a prefix or bucket of its own. If this cluster is the one whose backups these are, moved to another name or Kubernetes, and the former one is gone for good, " +
		"remove that object",
}

// explain finds the reason of an error, and words for it. How the context ended comes first: what failed then is its consequence.
func explain(ctx context.Context, err error) (Reason, string) {
	var (
		late      *deadlineError
		known     *failure
		owner     *archive.OwnerError
		busy      *archive.BusyError
		broken    *archive.BrokenError
		identity  *archive.IdentityError
		recipient *archive.RecipientError
		source    *archive.SourceError
		s3        *store.Error
	)
	switch {
	case errors.As(context.Cause(ctx), &late):
		return Deadline, late.Error() + ": " + advice[Deadline]
	case ctx.Err() != nil:
		return Interrupted, advice[Interrupted]
	case errors.As(err, &known): // also inside of an error of the store, whose source it was
		return known.reason, known.Error()
	case errors.As(err, &owner):
		return ForeignOwner, err.Error() + ". " + advice[ForeignOwner]
	case errors.As(err, &busy):
		return Busy, err.Error()
	case errors.As(err, &identity), errors.As(err, &recipient):
		return EncryptionInvalid, err.Error()
	case errors.As(err, &source):
		return ImageFailed, source.Error()
	case errors.As(err, &broken):
		return BackupBroken, err.Error()
	case errors.As(err, &s3):
		return ofStore[s3.Kind], err.Error()
	}
	return Crashed, err.Error()
}
