package simulator

import "fmt"

// say makes an error in RobustMQ's own words: they begin with capitals and end with full stops, and clients compare them.
func say(format string, args ...any) error { return fmt.Errorf(format, args...) }
