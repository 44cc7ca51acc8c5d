package process

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// Output passes a server's output on, line by line and without secrets, and keeps the last words that tell why it died.
type Output struct {
	mu       sync.Mutex
	secrets  [][]byte
	lastFail string // last line at level ERROR
	panicked string // line after "panicked at", and what follows until it is long enough
	inPanic  bool
	tail     []string
	heard    func(line string)
}

// NewOutput returns an empty Output; secrets are what is blotted out, empty and very short ones aside (they would blot out words).
func NewOutput(secrets []string) *Output {
	o := &Output{}
	for _, s := range secrets {
		if len(s) >= minSecret {
			o.secrets = append(o.secrets, []byte(s))
		}
	}
	return o
}

const (
	minSecret  = 4
	maxLine    = 16 << 10 // longer lines are passed on in pieces
	maxTail    = 20
	maxMessage = 1000
	blot       = "***"
)

// Hear has every whole line told, without secrets, before it is kept. To be called before the first Writer; heard must neither block nor call this Output.
func (o *Output) Hear(heard func(line string)) { o.heard = heard }

// Writer returns one stream of the server, to be passed on to w. Close it after the process has ended, so that an unfinished last line is kept.
func (o *Output) Writer(w io.Writer) io.WriteCloser { return &stream{output: o, to: w} }

// Message is the best explanation of an end: a panic, else the last line at level ERROR, else the last line (only if the process failed, which the caller knows).
func (o *Output) Message() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.panicked != "":
		return clip(o.panicked)
	case o.lastFail != "":
		return clip(o.lastFail)
	case len(o.tail) > 0:
		return clip(o.tail[len(o.tail)-1])
	}
	return ""
}

// Tail returns the last lines, oldest first.
func (o *Output) Tail() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.tail...)
}

func clip(s string) string {
	if len(s) > maxMessage {
		s = s[:maxMessage]
	}
	return strings.ToValidUTF8(strings.TrimSpace(s), "?")
}

func (o *Output) redact(line []byte) []byte {
	for _, s := range o.secrets {
		line = bytes.ReplaceAll(line, s, []byte(blot))
	}
	return line
}

func (o *Output) keep(line []byte) {
	text := strings.TrimSpace(string(line))
	if text == "" {
		o.inPanic = o.inPanic && o.panicked == ""
		return
	}
	if o.heard != nil {
		o.heard(text)
	}
	o.tail = append(o.tail, clip(text))
	if len(o.tail) > maxTail {
		o.tail = o.tail[1:]
	}
	switch {
	case strings.Contains(text, "panicked at "):
		o.inPanic, o.panicked = true, ""
	case o.inPanic && (strings.HasPrefix(text, "stack backtrace:") || strings.HasPrefix(text, "note: run with")):
		o.inPanic = false
	case o.inPanic:
		if len(o.panicked) < maxMessage {
			o.panicked = strings.TrimSpace(o.panicked + " " + text)
		}
	case isError(text):
		o.lastFail = text
	}
}

// isError finds the level in the first words of a line: RobustMQ's are "2026-11-23T17:00:03.890724Z ERROR broker_server::server: ...".
func isError(line string) bool {
	words := strings.Fields(clipTo(line, 80))
	for i, w := range words {
		if i > 2 {
			return false
		}
		if w == "ERROR" {
			return true
		}
	}
	return false
}

func clipTo(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

type stream struct {
	output *Output
	to     io.Writer
	line   []byte
}

func (s *stream) Write(p []byte) (int, error) {
	s.output.mu.Lock()
	defer s.output.mu.Unlock()
	for rest := p; len(rest) > 0; {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			s.line = append(s.line, rest...)
			if len(s.line) < maxLine {
				break
			}
			// Without its end a secret that lies across the cut would show: the last bytes stay until more comes.
			s.flush(len(s.line) - s.output.longestSecret())
			break
		}
		s.line = append(s.line, rest[:i+1]...)
		s.flush(len(s.line))
		rest = rest[i+1:]
	}
	return len(p), nil
}

func (o *Output) longestSecret() int {
	longest := 0
	for _, s := range o.secrets {
		longest = max(longest, len(s))
	}
	return longest
}

// flush passes the first n bytes on. A failing log must not stop the server, so write errors are dropped: there is nowhere to report them.
func (s *stream) flush(n int) {
	if n <= 0 {
		return
	}
	clean := s.output.redact(append([]byte(nil), s.line...))
	if n < len(s.line) { // a piece of a long line: cut after blotting out
		n = max(0, len(clean)-(len(s.line)-n))
	} else {
		n = len(clean)
	}
	s.output.keep(clean[:n])
	_, _ = s.to.Write(clean[:n])
	s.line = append(s.line[:0], clean[n:]...)
}

// Close passes on an unfinished last line.
func (s *stream) Close() error {
	s.output.mu.Lock()
	defer s.output.mu.Unlock()
	s.flush(len(s.line))
	return nil
}
