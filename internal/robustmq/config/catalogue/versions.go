package catalogue

import "github.com/robustmq/robustmq-operator/internal/robustmq"

// The versions in which settings came, moved or went.
var (
	v030, v031, v033, v035       = at(3, 0), at(3, 1), at(3, 3), at(3, 5)
	v036, v037, v038, v039       = at(3, 6), at(3, 7), at(3, 8), at(3, 9)
	v040, v041, v042, v043, v045 = at(4, 0), at(4, 1), at(4, 2), at(4, 3), at(4, 5)
	v048, v049, v0410            = at(4, 8), at(4, 9), at(4, 10)
)

func at(minor, patch int) robustmq.Version { return robustmq.Version{Minor: minor, Patch: patch} }
