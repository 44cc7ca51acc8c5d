package apiserver

import (
	"slices"
	"strings"
	"sync"
)

// Warnings collects what an API server warns a client of: its rest.Config's WarningHandler.
type Warnings struct {
	mu    sync.Mutex
	texts []string
}

// HandleWarningHeader takes one.
func (w *Warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}

// All are those that came, in their order.
func (w *Warnings) All() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.texts)
}

// Contain reports whether one of them has the text in it.
func (w *Warnings) Contain(text string) bool {
	return slices.ContainsFunc(w.All(), func(t string) bool { return strings.Contains(t, text) })
}
