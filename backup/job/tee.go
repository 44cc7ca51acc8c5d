package job

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Memory of a stream to several members: blocks that are filled once and read by each of them. The slowest member sets the pace: a block is filled anew when all have it.
const (
	blockSize     = 256 << 10
	blocksAStream = 16
)

// block of a stream. It goes home when nobody reads it any more.
type block struct {
	data []byte
	refs atomic.Int32
	home chan *block
}

func (b *block) release() {
	if b.refs.Add(-1) == 0 {
		b.home <- b // there is room for all of them
	}
}

// newBlocks are the memory of one stream at a time.
func newBlocks() chan *block {
	home := make(chan *block, blocksAStream)
	for range blocksAStream {
		home <- &block{data: make([]byte, blockSize), home: home}
	}
	return home
}

// piece is the part of a block that a member lacks.
type piece struct {
	block *block
	data  []byte
}

// errLegEnded is what is read of a leg that nobody needs any more.
var errLegEnded = errors.New("the call that this was for has ended")

// leg is the stream of a file to one member, from the offset on that it asked for. It is the body of one call, which may go on reading it for a moment after it has returned.
type leg struct {
	size  int64 // bytes from the offset to the end of the file
	at    int64 // offset in the file of what is handed next
	queue chan piece
	gone  chan struct{} // closed with ended
	watch *watchdog

	mu      sync.Mutex
	now     piece
	taken   int64 // bytes
	closed  bool  // nothing more is handed
	failure error // why that is not the end of the file
	ended   bool
}

// newLeg is for a file of a size from an offset on.
func newLeg(offset, size int64, w *watchdog) *leg {
	return &leg{size: size - offset, at: offset, queue: make(chan piece, blocksAStream), gone: make(chan struct{}), watch: w}
}

// hand over what the member lacks of a block, which begins at an offset of the file.
func (l *leg) hand(b *block, data []byte, offset int64) {
	skip := l.at - offset
	if skip >= int64(len(data)) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	b.refs.Add(1)
	l.queue <- piece{b, data[skip:]} // there is room for all blocks
	l.at = offset + int64(len(data))
}

// close says that everything was handed over; failure, if not nil, that the file does not end here.
func (l *leg) close(failure error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed, l.failure = true, failure
		close(l.queue)
	}
}

// end gives everything back. The leg is not read any more.
func (l *leg) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	l.ended = true
	close(l.gone)
	l.drop()
	for {
		select {
		case p, open := <-l.queue:
			if open {
				p.block.release()
				continue
			}
		default:
		}
		return
	}
}

// drop the piece that is being read; the lock is held.
func (l *leg) drop() {
	if l.now.block != nil {
		l.now.block.release()
	}
	l.now = piece{}
}

// alive says whether anybody reads it.
func (l *leg) alive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.ended
}

// bytes that the member took.
func (l *leg) bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

// Len is how many bytes are still to be read: the call announces them.
func (l *leg) Len() int { return int(l.size - l.bytes()) }

// Read implements io.Reader. That it is called says that the member took what it was given before.
func (l *leg) Read(p []byte) (int, error) {
	if err := l.await(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return 0, errLegEnded
	}
	n := copy(p, l.now.data)
	l.taken += int64(n)
	if l.now.data = l.now.data[n:]; len(l.now.data) == 0 {
		l.drop()
	}
	return n, nil
}

// WriteTo implements io.WriterTo: whole blocks go out, without a copy.
func (l *leg) WriteTo(w io.Writer) (written int64, err error) {
	for {
		if err := l.await(); errors.Is(err, io.EOF) {
			return written, nil
		} else if err != nil {
			return written, err
		}
		p, err := l.take()
		if err != nil {
			return written, err
		}
		n, err := w.Write(p.data)
		p.block.release()
		written += int64(n)
		l.mu.Lock()
		l.taken += int64(n)
		l.mu.Unlock()
		if err != nil {
			return written, err
		}
	}
}

// take the piece that is there: whoever has it gives it back, also when the leg has ended meanwhile.
func (l *leg) take() (piece, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return piece{}, errLegEnded
	}
	p := l.now
	l.now = piece{}
	return p, nil
}

// await the next piece. The member has something to do from when there is one, or when there is no more.
func (l *leg) await() error {
	l.watch.rest()
	for {
		there, err := l.look()
		if errors.Is(err, io.EOF) {
			l.watch.answering()
		}
		if err != nil {
			return err
		}
		if there {
			l.watch.taking()
			return nil
		}
		select {
		case next, open := <-l.queue:
			l.mu.Lock()
			switch {
			case l.ended && open:
				next.block.release()
			case open:
				l.now = next
			}
			l.mu.Unlock()
		case <-l.gone:
		}
	}
}

// look whether there is a piece, or why there will be none.
func (l *leg) look() (there bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended:
		return false, errLegEnded
	case l.now.block != nil:
		return true, nil
	case !l.closed || len(l.queue) > 0:
		return false, nil
	case l.failure != nil:
		return false, l.failure
	}
	return false, io.EOF
}

// watchdog ends a call whose member takes nothing, or does not answer when it has everything. While the member waits for bytes it is not to blame.
type watchdog struct {
	stall, answer time.Duration
	timer         *time.Timer
	cancel        context.CancelFunc
	court         *atomic.Int64 // how many calls wait for their members

	mu    sync.Mutex
	since time.Time // the member has something to do; zero: it has not
}

// watchCall watches a call from its beginning; the context ends with it. end must be called.
func watchCall(ctx context.Context, stall, answer time.Duration, court *atomic.Int64) (context.Context, *watchdog) {
	ctx, cancel := context.WithCancel(ctx)
	w := &watchdog{stall: stall, answer: answer, court: court, cancel: cancel, timer: time.AfterFunc(stall, cancel)}
	w.mark(true)
	return ctx, w
}

// mark whether the member has something to do. It returns since when it had.
func (w *watchdog) mark(busy bool) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := w.since
	if busy != !before.IsZero() {
		w.court.Add(map[bool]int64{true: 1, false: -1}[busy])
	}
	w.since = time.Time{}
	if busy {
		w.since = time.Now()
	}
	return before
}

func (w *watchdog) rest() {
	w.timer.Stop()
	w.mark(false)
}

func (w *watchdog) taking() {
	w.mark(true)
	w.timer.Reset(w.stall)
}

func (w *watchdog) answering() {
	w.mark(true)
	w.timer.Reset(w.answer)
}

// end says for how long the member had something to do and did not do it.
func (w *watchdog) end() time.Duration {
	w.timer.Stop()
	w.cancel()
	since := w.mark(false)
	if since.IsZero() {
		return 0
	}
	return time.Since(since)
}

// handOut reads a file from an offset on, to its end, and hands every leg what it lacks. The last block is handed over when the reader has said that it is the last: whoever compares the whole at its
// end, as an archive does, keeps a file that is wrong from ever being complete. It returns an error of the reader, or the context's, and ends early when no leg is read any more.
//
// broken is called before the legs hear of an error of the reader.
func handOut(ctx context.Context, free chan *block, r io.Reader, offset int64, legs []*leg, broken func()) error {
	fill := func() (*block, []byte, error) {
		select {
		case b := <-free:
			b.refs.Store(1)
			n, err := io.ReadFull(r, b.data)
			if errors.Is(err, io.ErrUnexpectedEOF) {
				err = io.EOF
			}
			return b, b.data[:n], err
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
	var held *block
	var data []byte
	done := func(failure error) error {
		if held != nil {
			held.release()
		}
		if failure != nil && !errors.Is(failure, errLegEnded) {
			broken()
		}
		for _, l := range legs {
			l.close(failure)
		}
		return failure
	}
	for {
		b, next, err := fill()
		if err != nil && !errors.Is(err, io.EOF) {
			if b != nil {
				b.release()
			}
			return done(err)
		}
		give(held, data, offset, legs)
		offset += int64(len(data))
		if held != nil {
			held.release()
		}
		held, data = b, next
		if err != nil {
			give(held, data, offset, legs)
			return done(nil)
		}
		if !anyAlive(legs) {
			return done(errLegEnded)
		}
	}
}

func give(b *block, data []byte, offset int64, legs []*leg) {
	if b == nil {
		return
	}
	for _, l := range legs {
		l.hand(b, data, offset)
	}
}

func anyAlive(legs []*leg) bool {
	for _, l := range legs {
		if l.alive() {
			return true
		}
	}
	return false
}
