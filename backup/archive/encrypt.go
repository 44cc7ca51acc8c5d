package archive

import (
	"fmt"
	"slices"
	"strings"

	"filippo.io/age"
)

// maxIdentities bytes are read of a Secret.
const maxIdentities = 1 << 16

// parseRecipients reads public keys as age-keygen prints them: age1… and, for the time after quantum computers, age1pq1….
func parseRecipients(texts []string) ([]age.Recipient, error) {
	var recipients []age.Recipient
	for i, text := range texts {
		if strings.HasPrefix(strings.ToUpper(text), "AGE-SECRET-KEY") {
			return nil, &RecipientError{i, "is an identity: keep that secret, and give the public key that begins with age1"}
		}
		parsed, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil || len(parsed) != 1 {
			return nil, &RecipientError{i, "is no public key of age: write the one that age-keygen prints, which begins with age1"}
		}
		recipients = append(recipients, parsed...)
	}
	return recipients, nil
}

// parseIdentities reads secret keys, one a line. Its errors have nothing of the text.
func parseIdentities(text string) ([]age.Identity, error) {
	if strings.TrimSpace(text) == "" {
		return nil, &IdentityError{"the backup is encrypted: an identity of one of its recipients is needed to read it"}
	}
	if len(text) > maxIdentities {
		return nil, &IdentityError{fmt.Sprintf("the identities have %d bytes, at most %d are read", len(text), maxIdentities)}
	}
	identities, err := age.ParseIdentities(strings.NewReader(text))
	if err != nil {
		return nil, &IdentityError{"the identities cannot be read: write lines that begin with AGE-SECRET-KEY-, as age-keygen prints them"}
	}
	return identities, nil
}

// normal is a set of recipients in an order of its own, so that two can be compared.
func normal(recipients []string) []string {
	set := slices.Clone(recipients)
	slices.Sort(set)
	return slices.Compact(set)
}
