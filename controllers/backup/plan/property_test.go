package plan_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/robustmq/robustmq-operator/api/v1alpha1"
	"github.com/robustmq/robustmq-operator/backup/schedule"
)

// restarts is how many operators live and die in the property test: PLAN_RESTARTS, or 1,000.
func restarts(t *testing.T) int {
	if s := os.Getenv("PLAN_RESTARTS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 1000
}

// Operators that live for a pass or two, over clocks that jump, also those of summer time, against a real API server. The rule: when an operator looks and nothing has to end first, the newest
// tick that has passed has its backup; the ticks before it are stood for by that one; no tick has two.
func TestOverRestartsAndJumpsOfTheClockNoTickIsLostBeyondTheRuleAndNoneIsDoubled(t *testing.T) {
	died := errors.New("died")
	seed := uint64(20261126)
	random := rand.New(rand.NewPCG(seed, seed))
	lines := []v1alpha1.BackupSchedule{
		{Name: "s", Cron: "0 * * * *"}, {Name: "s", Cron: "30 2 * * *", TimeZone: "Europe/Berlin"}, {Name: "s", Cron: "*/7 * * * *", TimeZone: "America/New_York"},
		{Name: "s", Cron: "@every 90m"}, {Name: "s", Cron: "15 */6 * * 1-5", TimeZone: "Australia/Lord_Howe"}, {Name: "s", Cron: "0 2,3 * * *", TimeZone: "Europe/Berlin"},
		{Name: "s", Cron: "0 0 1 * *", TimeZone: "America/Asuncion"}, {Name: "s", Cron: "@daily", TimeZone: "America/Asuncion"},
	}
	starts := []string{"2026-03-27T20:00:00Z", "2026-10-23T20:00:00Z", "2026-04-03T00:00:00Z", "2026-10-02T00:00:00Z", "2026-10-30T00:00:00Z"}
	each := restarts(t) / len(lines)
	made, caughtUp, jumps := 0, 0, 0
	for _, line := range lines {
		w := newWorld(t)
		start, err := time.Parse(time.RFC3339, starts[random.IntN(len(starts))])
		w.must(err)
		w.now = start
		w.cluster(line)
		w.settle()
		zone, err := schedule.Zone(line.TimeZone)
		w.must(err)
		ticks, err := schedule.Parse(line.Cron, zone)
		w.must(err)
		done := w.now // everything up to here is dealt with
		lived := map[string]bool{}
		running := ""
		for step := range each {
			where := fmt.Sprintf("%q in %s, restart %d (seed %d), %s", line.Cron, line.TimeZone, step, seed, w.now.Format(time.RFC3339))
			switch random.IntN(24) {
			case 0: // nobody was there for up to ten days
				w.now = w.now.Add(upTo(random, 10*24*time.Hour))
			case 1: // the clock is put back a little
				w.now = w.now.Add(-upTo(random, schedule.ClockTolerance-time.Second))
			case 2: // the clock was wrong by hours: what it shows now is believed, and ticks are lived through again
				w.now = w.now.Add(-time.Hour - upTo(random, 6*time.Hour))
				jumps++
			default:
				w.now = w.now.Add(upTo(random, 2*time.Hour))
			}
			if done.After(w.now.Add(schedule.ClockTolerance)) {
				done = w.now
				lived = map[string]bool{}
			}
			if running != "" && random.IntN(4) > 0 {
				w.end(running, []string{"", v1alpha1.ReasonAgentLost}[random.IntN(2)])
				running = ""
			}
			if random.IntN(3) == 0 { // it dies after one of its writes
				writes := random.IntN(3)
				w.fail = func(string) (error, error) {
					if writes--; writes < 0 {
						return nil, died
					}
					return nil, nil
				}
			}
			r := w.operator()
			if _, err := r.Reconcile(t.Context(), request(w)); err != nil && !errors.Is(err, died) {
				t.Fatalf("%s: %v", where, err)
			}
			w.fail = nil
			w.settle() // the next operator
			for _, b := range w.made {
				made++
				if lived[b] {
					t.Fatalf("%s: %s was made twice", where, b)
				}
				lived[b] = true
				minute, err := strconv.ParseInt(b[strings.LastIndexByte(b, '-')+1:], 10, 64)
				w.must(err)
				at := time.Unix(60*minute, 0)
				if !strings.HasPrefix(line.Cron, "@every") && !ticks.Next(at.Add(-time.Second)).Equal(at) {
					t.Fatalf("%s: %s is of no tick", where, b)
				}
			}
			passed, newest := 0, time.Time{}
			for tick := ticks.Next(done); !tick.After(w.now); tick = ticks.Next(tick) {
				passed, newest = passed+1, tick
			}
			switch {
			case running != "":
				if len(w.made) > 0 {
					t.Fatalf("%s: %v while %s is being made", where, w.made, running)
				}
			case passed == 0:
				if len(w.made) > 0 {
					t.Fatalf("%s: %v, and no tick has passed since %s", where, w.made, done)
				}
			default:
				want, err := schedule.Name("c", line.Name, newest)
				w.must(err)
				if len(w.made) > 1 || len(w.made) == 1 && w.made[0] != want {
					t.Fatalf("%s: %v, want %s", where, w.made, want)
				}
				var b v1alpha1.RobustMQBackup
				if err := w.Get(t.Context(), client.ObjectKey{Namespace: w.ns, Name: want}, &b); err != nil {
					t.Fatalf("%s: %d ticks have passed and %s is not there: %v", where, passed, want, err)
				}
				if !b.Ended() {
					running = want
				}
				if passed > 1 {
					caughtUp++
				}
				done = newest
			}
			w.made = nil
		}
	}
	t.Logf("%d restarts: %d backups, %d of them stood for more than one tick, %d times the clock went back by hours", each*len(lines), made, caughtUp, jumps)
	if made < each || caughtUp == 0 || jumps == 0 {
		t.Error("too little happened")
	}
}

func upTo(r *rand.Rand, most time.Duration) time.Duration {
	return time.Duration(r.Int64N(int64(most)))
}
