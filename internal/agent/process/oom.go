package process

import (
	"os"
	"strconv"
	"strings"
)

// OOMKills returns how many processes of this container's control group the kernel has killed for memory, and false where that cannot be read.
func OOMKills() (uint64, bool) {
	for _, file := range []string{"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"} { // version 2, version 1
		raw, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if n, ok := ParseOOMKills(string(raw)); ok {
			return n, true
		}
	}
	return 0, false
}

// ParseOOMKills finds the counter oom_kill, which both versions of the file spell alike.
func ParseOOMKills(events string) (uint64, bool) {
	for line := range strings.Lines(events) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok || name != "oom_kill" {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		return n, err == nil
	}
	return 0, false
}
