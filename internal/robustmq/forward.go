package robustmq

import (
	"fmt"
	"regexp"
	"strconv"
)

// Forward is a member's refusal of a write that only the raft leader of the group can serve.
type Forward struct {
	LeaderID   uint64 // 0: the member knows no leader
	LeaderAddr string
}

func (f *Forward) Error() string {
	if f.LeaderID == 0 {
		return "this member does not lead the group and knows no leader"
	}
	return fmt.Sprintf("this member does not lead the group: node %d at %s does", f.LeaderID, f.LeaderAddr)
}

// In the server's words: has to forward request to: Some(1), Some(Node { node_id: 1, rpc_addr: "n1.lab:1228" }), or None, None.
var forwardPattern = regexp.MustCompile(`has to forward request to: (?:None|Some\((\d{1,20})\)), (?:None|Some\(Node \{ node_id: \d+, rpc_addr: "([^"]*)" \}\))`)

// ParseForward finds the refusal in an error text of the server.
func ParseForward(text string) (*Forward, bool) {
	m := forwardPattern.FindStringSubmatch(text)
	if m == nil {
		return nil, false
	}
	f := &Forward{LeaderAddr: m[2]}
	if m[1] != "" {
		id, err := strconv.ParseUint(m[1], 10, 64)
		if err != nil {
			return nil, false
		}
		f.LeaderID = id
	}
	return f, true
}
