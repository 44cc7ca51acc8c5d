package image

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"
)

// Sum is a digest of a set that does not depend on the order in which its members were added: the sum, modulo 2^256, of their SHA-256. Nobody chooses keys here to make two sets collide
// (who can write metadata can do anything to it); against accidents it is as good as the hash.
type Sum [4]uint64

// Add adds one member's hash.
func (s *Sum) Add(hash [sha256.Size]byte) {
	var carry uint64
	for i := range s {
		s[i], carry = bits.Add64(s[i], binary.LittleEndian.Uint64(hash[8*i:]), carry)
	}
}

// String is the sum in hexadecimal digits.
func (s Sum) String() string {
	var b [sha256.Size]byte
	for i, word := range s {
		binary.LittleEndian.PutUint64(b[8*i:], word)
	}
	return hex.EncodeToString(b[:])
}

// hashEntry is the hash of a key with its value; the length in front keeps apart what a shifted border would make equal.
func hashEntry(key, value []byte) (hash [sha256.Size]byte) {
	h := sha256.New()
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(key)))
	h.Write(length[:])
	h.Write(key)
	h.Write(value)
	h.Sum(hash[:0])
	return hash
}
