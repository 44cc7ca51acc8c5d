package simulator

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// logger writes the server's log to stdout. As RobustMQ's it is not flushed at an exit: the line that says why is lost in about half of the runs (seen-api.md, 0.3).
type logger struct {
	mu      sync.Mutex
	out     io.Writer
	rand    *rand.Rand
	targets []target // longest path first wins
	closed  bool
}

type target struct {
	path  string
	level int
}

var levels = map[string]int{"trace": 0, "debug": 1, "info": 2, "warn": 3, "error": 4, "off": 5}

func newLogger(out io.Writer, r *rand.Rand) *logger {
	return &logger{out: out, rand: r, targets: []target{{"", levels["info"]}}}
}

// configure takes the levels of the first console appender of logger.toml.
func (l *logger) configure(content string) error {
	var appenders map[string]struct {
		Kind    string
		Level   string
		Target  *struct{ Path, Level string }
		Targets []struct{ Path, Level string }
	}
	if err := toml.Unmarshal([]byte(content), &appenders); err != nil {
		return &configError{fmt.Sprintf("called `Result::unwrap()` on an `Err` value: Toml(Error { message: %q })", err.Error())}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range appenders {
		switch a.Kind {
		case "console":
			l.targets = nil
			if a.Level != "" {
				l.targets = append(l.targets, target{"", levels[a.Level]})
			}
			if a.Target != nil {
				l.targets = append(l.targets, target{a.Target.Path, levels[a.Target.Level]})
			}
			for _, t := range a.Targets {
				l.targets = append(l.targets, target{t.Path, levels[t.Level]})
			}
		case "rolling_file", "tokio_console":
		default:
			return &configError{fmt.Sprintf("called `Result::unwrap()` on an `Err` value: Toml(Error { message: \"unknown variant `%s`, expected one of `console`, `rolling_file`, `tokio_console`\" })", a.Kind)}
		}
	}
	return nil
}

func (l *logger) wanted(level, name string) bool {
	best, limit := -1, levels["off"]
	for _, t := range l.targets {
		if (t.path == "" || name == t.path || strings.HasPrefix(name, t.path+"::")) && len(t.path) > best {
			best, limit = len(t.path), t.level
		}
	}
	return levels[strings.ToLower(level)] >= limit
}

func (l *logger) logf(level, name, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || !l.wanted(level, name) {
		return
	}
	_, _ = fmt.Fprintf(l.out, "%s %5s %s: %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000000Z"), level, name, fmt.Sprintf(format, args...))
}

func (l *logger) info(name, format string, args ...any)  { l.logf("INFO", name, format, args...) }
func (l *logger) warn(name, format string, args ...any)  { l.logf("WARN", name, format, args...) }
func (l *logger) error(name, format string, args ...any) { l.logf("ERROR", name, format, args...) }

// last writes the line that the process dies with, or loses it.
func (l *logger) last(name, format string, args ...any) {
	l.mu.Lock()
	lost := l.rand.IntN(2) == 0
	l.mu.Unlock()
	if !lost {
		l.error(name, format, args...)
	}
}

func (l *logger) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}
