package messages

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func unsent() *Traffic {
	t := &Traffic{run: "run", every: time.Hour, acknowledged: map[string]time.Time{}, received: map[string]int{}, sent: map[string]time.Time{}, cancel: func() {}}
	t.arrive(time.Now())
	return t
}

func (t *Traffic) publish(from, to int) {
	for n := from; n <= to; n++ {
		payload := fmt.Sprintf("run/%d", n)
		t.acknowledge(payload, t.begin(payload))
	}
}

func (t *Traffic) deliver(numbers ...int) {
	for _, n := range numbers {
		t.take(fmt.Sprintf("run/%d", n))
	}
}

func TestWhatWasPassedOverIsLostAndWhatWasUnderWayWhenAConnectionEndedIsNot(t *testing.T) {
	x := unsent()
	x.publish(0, 9)
	x.deliver(0, 1, 2, 4, 5) // 3 was passed over, 6 to 9 are under way
	x.publish(10, 12)        // nobody hears of them
	x.arrive(time.Now())
	x.publish(13, 16)
	x.deliver(14, 14, 15) // 13 was passed over, 16 did not come
	f := x.figures()
	if f.Lost != 3 || f.Missed != 7 || f.Duplicates != 1 || !slices.Equal(f.LostNumbers, []int{3, 13, 16}) {
		t.Errorf("%+v", f)
	}
	if !strings.Contains(f.String(), "3 lost") || !strings.Contains(f.String(), "lost: numbers 3, 13, 16)") {
		t.Error(f)
	}
}

func TestWhatIsLateIsNotLost(t *testing.T) {
	x := unsent()
	x.publish(0, 9)
	go func() {
		for n := range 10 { // in all they take longer than one may
			<-time.After(100 * time.Millisecond)
			x.deliver(n)
		}
	}()
	if f := x.Stop(500 * time.Millisecond); f.Lost != 0 {
		t.Error(f)
	}
}

func TestNumbersAreTold(t *testing.T) {
	for want, numbers := range map[string][]int{"": nil, "7": {7}, "1 to 3, 5": {1, 2, 3, 5}, "1, 3, 5, 7, 9, …": {1, 3, 5, 7, 9, 11}} {
		if got := ranges(numbers); got != want {
			t.Errorf("%v: %q, want %q", numbers, got, want)
		}
	}
}
