package backup

import (
	"fmt"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// often is how far apart two lines about progress are, where no terminal draws a bar.
const often = 5 * time.Second

// progress tells how far something is: a bar on a terminal, else a line every few seconds. Several may move it at once.
type progress struct {
	t     *tool
	doing string
	total int64
	bar   *progressbar.ProgressBar

	mu    sync.Mutex
	done  int64
	began time.Time
	told  time.Time
}

// begin something of total bytes. Bars are for reports in text: beside a report for programs there are lines.
func (t *tool) begin(doing string, total int64) *progress {
	p := &progress{t: t, doing: doing, total: total, began: t.now()}
	p.told = p.began
	if t.terminal && t.output == text {
		p.bar = progressbar.NewOptions64(max(total, 1), progressbar.OptionSetWriter(t.err), progressbar.OptionSetDescription(doing), progressbar.OptionShowBytes(true), progressbar.OptionShowCount(),
			progressbar.OptionUseIECUnits(true), progressbar.OptionSetWidth(30), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish())
	}
	return p
}

// to moves it to a number of bytes.
func (p *progress) to(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(n)
}

// add moves it on.
func (p *progress) add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(p.done + n)
}

func (p *progress) set(n int64) {
	p.done = n
	if p.bar != nil {
		_ = p.bar.Set64(min(n, max(p.total, 1))) // a bar that cannot be drawn is no reason to stop
		return
	}
	if now := p.t.now(); now.Sub(p.told) >= often {
		p.told = now
		fmt.Fprintf(p.t.err, "%s: %s\n", p.doing, p.sum(now))
	}
}

// sum is how far it is, and how fast.
func (p *progress) sum(now time.Time) string {
	percent := int64(100)
	if p.total > 0 {
		percent = p.done * 100 / p.total
	}
	return fmt.Sprintf("%s of %s (%d %%), %s", size(p.done), size(p.total), percent, rate(p.done, now.Sub(p.began)))
}

// end takes the bar away. What was done is in the report.
func (p *progress) end() {
	if p.bar != nil {
		_ = p.bar.Clear() // nothing depends on it
	}
}

// took is since it began.
func (p *progress) took() time.Duration { return p.t.now().Sub(p.began) }

// speed of bytes in so many seconds, for a report.
func speed(n int64, seconds float64) string {
	took := fmt.Sprintf("in %.1f s", seconds)
	if seconds > 0 {
		took += ", " + size(int64(float64(n)/seconds)) + "/s"
	}
	return took
}

// rate of bytes for people.
func rate(n int64, took time.Duration) string {
	if took <= 0 {
		return "at once"
	}
	return size(int64(float64(n)/took.Seconds())) + "/s"
}
