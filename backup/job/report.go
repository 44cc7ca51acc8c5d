package job

import (
	"context"
	"sync"
	"time"

	"github.com/robustmq/robustmq-operator/backup/archive"
	"github.com/robustmq/robustmq-operator/internal/agent/protocol"
)

// report tells the agent how far the Job is, at most once a second; that renews the image's lease, also while bytes go elsewhere.
type report struct {
	source *source

	mu   sync.Mutex
	now  protocol.ImageProgress
	told protocol.ImageProgress
}

// set how far it is. It is quick: it is called for every few bytes.
func (r *report) set(p protocol.ImageProgress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = p
}

var stages = map[archive.Stage]protocol.ImageStage{archive.Uploading: protocol.StageUploading, archive.Verifying: protocol.StageVerifying}

// run until the context ends. An agent that does not answer is no error here: whoever needs its bytes will see.
func (r *report) run(ctx context.Context) {
	tick := time.NewTicker(r.source.patience.Report)
	defer tick.Stop()
	sent, failed := time.Now(), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.mu.Lock()
		p := r.now
		same := p == r.told
		r.mu.Unlock()
		if same && time.Since(sent) < r.source.patience.Renew {
			continue
		}
		sent = time.Now()
		err := r.send(ctx, p)
		if err != nil && !failed && ctx.Err() == nil {
			r.source.log.Warn("progress could not be reported to the agent", "error", err)
		}
		failed = err != nil
	}
}

func (r *report) send(ctx context.Context, p protocol.ImageProgress) error {
	ctx, cancel := context.WithTimeout(ctx, r.source.patience.Renew/2)
	defer cancel()
	if _, err := r.source.agent.ReportImage(ctx, r.source.id, p); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = p
	return nil
}
