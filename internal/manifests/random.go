package manifests

import (
	"fmt"
	"io"
)

const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// Lengths of generated values: 32 characters of 62 are 190 bits; the key of HS256 should have 256 (RFC 7518 §3.2), 64 characters have 381.
const (
	PasswordLength = 32
	JWTKeyLength   = 64
)

// RandomText draws n letters and digits, each as likely as the others. Nothing else: the value passes through TOML, HTTP and people's shells.
func RandomText(random io.Reader, n int) (string, error) {
	const fair = 256 - 256%len(alphanumeric) // bytes from here on would make the first letters likelier
	text := make([]byte, 0, n)
	buffer := make([]byte, n)
	for len(text) < n {
		if _, err := io.ReadFull(random, buffer); err != nil {
			return "", fmt.Errorf("draw a random value: %w", err)
		}
		for _, b := range buffer {
			if int(b) < fair && len(text) < n {
				text = append(text, alphanumeric[int(b)%len(alphanumeric)])
			}
		}
	}
	return string(text), nil
}
