package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// A narrator says what is being done, since when, and how long it took.
type narrator struct {
	out      io.Writer
	began    time.Time
	terminal bool
}

func narrate(out *os.File, began time.Time) *narrator {
	return &narrator{out: out, began: began, terminal: term.IsTerminal(int(out.Fd())) && os.Getenv("TERM") != "dumb"}
}

// elapsed since the demo began.
func (n *narrator) elapsed() time.Duration { return time.Since(n.began) }

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// say writes one line with the time.
func (n *narrator) say(format string, args ...any) {
	fmt.Fprintf(n.out, "[%6.1fs] %s\n", n.elapsed().Seconds(), fmt.Sprintf(format, args...))
}

// detail writes text below the step that is under way.
func (n *narrator) detail() io.Writer { return &indented{out: n.out, fresh: true} }

// step does something that has a name.
func (n *narrator) step(what string, do func() error) (time.Duration, error) {
	n.say("%s", what)
	begin := time.Now()
	err := do()
	took := time.Since(begin)
	if err != nil {
		n.say("FAILED after %s: %v", seconds(took), err)
		return took, &shownError{fmt.Errorf("%s: %w", what, err)}
	}
	fmt.Fprintf(n.out, "%10s done in %s\n", "", seconds(took))
	return took, nil
}

// indented sets everything that is written to it off from the narration.
type indented struct {
	out   io.Writer
	fresh bool // at the beginning of a line
}

const indent = "           "

func (i *indented) Write(p []byte) (int, error) {
	for line := range bytes.Lines(p) {
		if i.fresh && len(bytes.TrimRight(line, "\r\n")) > 0 {
			if _, err := io.WriteString(i.out, indent); err != nil {
				return 0, err
			}
		}
		i.fresh = bytes.HasSuffix(line, []byte("\n"))
		if _, err := i.out.Write(line); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
