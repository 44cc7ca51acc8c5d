package cluster

import (
	"reflect"
	"strings"
	"sync"
)

// strings that are kept once: at most so many, of at most so many bytes each. Thousands of objects say the same few words: labels, names of containers and volumes, phases, owners.
const (
	internedAtMost = 1 << 16
	internedLength = 64
)

// interner gives equal strings one copy in memory.
type interner struct {
	mu    sync.Mutex
	known map[string]string
}

func (i *interner) of(s string) string {
	if s == "" || len(s) > internedLength {
		return s
	}
	if known, ok := i.known[s]; ok {
		return known
	}
	if i.known == nil || len(i.known) >= internedAtMost { // what was handed out stays as it is
		i.known = map[string]string{}
	}
	own := strings.Clone(s)
	i.known[own] = own
	return own
}

// within replaces the strings of an object by those copies, wherever they are settable: in fields, lists and maps of strings to strings. It changes the object, not what it says.
func (i *interner) within(object any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.walk(reflect.ValueOf(object))
}

func (i *interner) walk(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			i.walk(v.Elem())
		}
	case reflect.Struct:
		for n := range v.NumField() {
			if f := v.Field(n); f.CanSet() {
				i.walk(f)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for n := range v.Len() {
			i.walk(v.Index(n))
		}
	case reflect.Map:
		words, ok := v.Interface().(map[string]string)
		if !ok || words == nil {
			return
		}
		own := make(map[string]string, len(words))
		for key, value := range words {
			own[i.of(key)] = i.of(value)
		}
		v.Set(reflect.ValueOf(own))
	case reflect.String:
		v.SetString(i.of(v.String()))
	}
}
