package protocol

import "time"

// PathEnd says when a pod that is being deleted has ended.
//
//	GET PathEnd -> End
//
// The answer comes when the pod's server has ended, its volume is not used by this pod any more, and never will be: a container of the pod that is started again after that starts nothing, for as long as
// the pod exists. So whoever was answered may have the pod's successor made at once. Before that the call waits, EndWait at most, and is then refused as a Conflict; it may be repeated.
const PathEnd = "/v1/end"

// EndWait is for how long a call of PathEnd waits.
const EndWait = 30 * time.Second

// End is the answer: the pod with whose volume nobody works any more.
type End struct {
	Pod string `json:"pod"`
	// BootID is that of the agent that answered.
	BootID string `json:"bootID"`
}
