package images

import (
	"fmt"
	"regexp"

	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// Refusal is why a call is not carried out.
type Refusal struct {
	Reason  string // one of protocol's Reason constants
	Message string
}

func (r *Refusal) Error() string { return r.Message }

func refuse(reason, format string, args ...any) error {
	return &Refusal{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// label is a DNS label: an ID becomes part of messages, and nothing else than a label can hide anything in them.
var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// CheckID judges an ID.
func CheckID(id string) error {
	if !label.MatchString(id) {
		return refuse(protocol.ReasonBadRequest, "id %.80q is no DNS label: 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends", id)
	}
	return nil
}
