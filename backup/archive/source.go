package archive

import "fmt"

// SourceError is a file of an image that is not what was announced.
type SourceError struct {
	Name   string
	Size   int64 // announced
	SHA256 string
	Came   int64 // bytes that came, of another content where that is the size too
}

// Error says what was announced and what came.
func (e *SourceError) Error() string {
	return fmt.Sprintf("%s was announced with %d bytes and SHA-256 %s, and %d bytes of another content came", e.Name, e.Size, e.SHA256, e.Came)
}

// RecipientError is a recipient that nothing can be encrypted for.
type RecipientError struct {
	Index   int
	Problem string
}

// Error says which, by its place in the list: it may be a secret that was written into the wrong field.
func (e *RecipientError) Error() string { return fmt.Sprintf("recipient %d %s", e.Index, e.Problem) }
