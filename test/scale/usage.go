package scale

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is the processor time, user's and system's, that the API server, its etcd, the operator and this process (what is simulated) have used. Unlike how long something takes, it says the same
// on a busy machine.
type Usage struct{ APIServer, Etcd, Operator, Simulated time.Duration }

// Minus is what was used since before.
func (u Usage) Minus(before Usage) Usage {
	return Usage{u.APIServer - before.APIServer, u.Etcd - before.Etcd, u.Operator - before.Operator, u.Simulated - before.Simulated}
}

func (u Usage) String() string {
	return fmt.Sprintf("API server %.1f s, etcd %.1f s, operator %.1f s, simulation %.1f s of processor time", u.APIServer.Seconds(), u.Etcd.Seconds(), u.Operator.Seconds(), u.Simulated.Seconds())
}

// Usage is what was used until now.
func (w *World) Usage() (Usage, error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(files) == 0 {
		return Usage{}, fmt.Errorf("%d processes in /proc: processor time is measured on Linux only: %w", len(files), err)
	}
	var u Usage
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		pid, name, parent, used, err := parseStat(string(text))
		if err != nil {
			return Usage{}, fmt.Errorf("%s: %w", file, err)
		}
		switch {
		case pid == os.Getpid():
			u.Simulated = used
		case parent != os.Getpid():
		case name == "kube-apiserver":
			u.APIServer = used
		case name == "etcd":
			u.Etcd = used
		case pid == w.Operator.cmd.Process.Pid:
			u.Operator = used
		}
	}
	return u, nil
}

// parseStat reads a line of /proc/<pid>/stat.
func parseStat(line string) (pid int, name string, parent int, used time.Duration, err error) {
	first, rest, _ := strings.Cut(line, " (")
	cut := strings.LastIndex(rest, ") ") // a name may have parentheses in it
	if cut < 0 {
		return 0, "", 0, 0, errors.New("no name in parentheses")
	}
	name = rest[:cut]
	fields := strings.Fields(rest[cut+2:]) // from the third on: state, parent …
	if len(fields) < 13 {
		return 0, "", 0, 0, fmt.Errorf("%d fields after the name", len(fields))
	}
	var numbers [4]int64
	for i, field := range []string{first, fields[1], fields[11], fields[12]} {
		if numbers[i], err = strconv.ParseInt(field, 10, 64); err != nil {
			return 0, "", 0, 0, err
		}
	}
	// A hundredth of a second on every architecture that Kubernetes runs on.
	return int(numbers[0]), name, int(numbers[1]), time.Duration(numbers[2]+numbers[3]) * 10 * time.Millisecond, nil
}
