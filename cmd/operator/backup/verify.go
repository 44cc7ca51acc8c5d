package backup

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"github.com/robustmq/robustmq-operator/backup/archive"
)

// Verified is the report of verify.
type Verified struct {
	Version int          `json:"version"`
	Place   string       `json:"place"`
	Cluster Cluster      `json:"cluster"`
	Mode    archive.Mode `json:"mode"`
	Good    bool         `json:"good"`
	// Problems that are of the place and of none of the backups.
	Problems []Problem        `json:"problems"`
	Backups  []VerifiedBackup `json:"backups"`
	// Bytes of the objects that were compared; what several backups share counts once.
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// VerifiedBackup is what was found of one.
type VerifiedBackup struct {
	ID       string    `json:"id"`
	Good     bool      `json:"good"`
	Objects  int       `json:"objects"`
	Bytes    int64     `json:"bytes"`
	Problems []Problem `json:"problems"`
	// Opened says that its database was opened too. Never so with Checksum, and not with what is encrypted without an identity.
	Opened bool `json:"opened"`
}

// Problem with an object.
type Problem struct {
	// Object by its key in the bucket.
	Object  string `json:"object"`
	Problem string `json:"problem"`
}

type verifyOptions struct {
	all          bool
	mode         string
	identityFile string
}

func verifyCommand(t *tool) *cobra.Command {
	o := verifyOptions{}
	cmd := t.command("verify [ID | --all]", "Compare backups with their manifests, and name every object that is wrong", `Compare backups with their manifests, and name every object that is wrong. Nothing is changed but a lock that keeps collections away meanwhile.

--mode Full reads every object, hashes it, and opens the database: that every table it names is there, that its log has no gap. Encrypted backups are opened only with --identity-file;
without it, what lies in the bucket is still hashed.
--mode Checksum asks the store for sizes and for the checksums that it keeps, and reads only what it keeps none of. It is quick, and finds what a bad disk behind the store did only if the store does.`,
		1, func(ctx context.Context, args []string) error { return t.verify(ctx, o, args) })
	t.place.bind(cmd.Flags())
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "verify all backups of the cluster; tables that they share are read once")
	f.StringVar(&o.mode, "mode", string(archive.Full), "Full or Checksum")
	f.StringVar(&o.identityFile, "identity-file", "", "file with identities of age, as age-keygen writes it; - for the standard input")
	return cmd
}

func (t *tool) verify(ctx context.Context, v verifyOptions, args []string) error {
	switch {
	case v.all == (len(args) == 1):
		return usage("name one backup, by an ID of robustmq-operator backup list or as %s, or say --all", latest)
	case v.mode != string(archive.Full) && v.mode != string(archive.Checksum):
		return usage("--mode %q: say %s or %s", v.mode, archive.Full, archive.Checksum)
	}
	identities, err := t.identities(v.identityFile)
	if err != nil {
		return err
	}
	o, err := t.open()
	if err != nil {
		return err
	}
	defer o.close()
	s, err := o.only(ctx)
	if err != nil {
		return err
	}
	backups, err := s.wanted(ctx, args)
	if err != nil {
		return err
	}
	working, release, err := t.reading(ctx, s)
	if err != nil {
		return err
	}
	defer release()
	r := Verified{Version: FormatVersion, Place: o.store.String(), Cluster: s.cluster(), Mode: archive.Mode(v.mode), Problems: []Problem{}, Backups: []VerifiedBackup{}}
	if s.problem != nil {
		r.Problems = problems(s.problem, s.archive.Key("owner.json"))
	}
	if err := t.compare(working, s, backups, identities, &r); err != nil {
		return err
	}
	r.Good = len(r.Problems) == 0
	for _, b := range r.Backups {
		r.Good = r.Good && b.Good
	}
	if err := t.print(r, r.human); err != nil || r.Good {
		return err
	}
	return &Ended{Code: codeWrong, Err: errors.New("not everything is what it should be")}
}

// wanted is the one that was named, or all.
func (s *saved) wanted(ctx context.Context, args []string) ([]archive.Backup, error) {
	if len(args) == 0 {
		all, err := s.archive.List(ctx)
		if err == nil && len(all) == 0 {
			err = usage("--all: the cluster %s %s has no backups", s.uid, s.name())
		}
		return all, err
	}
	b, err := s.backup(ctx, args[0])
	return []archive.Backup{b}, err
}

// identities reads the file of a flag. None is fine: most backups need none.
func (t *tool) identities(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	if file == "-" && t.place.file == "-" {
		return "", usage("--identity-file - and -f -: the standard input can be read once")
	}
	b, err := readSmall("identity-file", file, t.in)
	if err == nil && len(b) == 0 {
		err = usage("--identity-file %s: it is empty: it has lines that begin with AGE-SECRET-KEY-, as age-keygen prints them", file)
	}
	return string(b), err
}

func (t *tool) compare(ctx context.Context, s *saved, backups []archive.Backup, identities string, r *Verified) error {
	for _, o := range distinct(backups) {
		r.Bytes += o.Size
	}
	bar := t.begin("Verifying", r.Bytes)
	defer bar.end()
	verifier, err := s.archive.NewVerifier(r.Mode, identities, func(p archive.Progress) { bar.to(p.Bytes) })
	if err != nil {
		return err
	}
	verifier.MaxProblems = math.MaxInt
	for _, b := range backups {
		found := VerifiedBackup{ID: b.ID, Problems: []Problem{}}
		if !b.Good() {
			found.Problems = append(found.Problems, Problem{s.archive.ManifestKey(b.ID), b.Broken})
			r.Backups = append(r.Backups, found)
			continue
		}
		found.Objects, found.Bytes = len(b.Manifest.Objects()), b.Manifest.Size()
		for _, err := range []error{s.archive.VerifySum(ctx, b.ID), verifier.Verify(ctx, &b.Manifest)} {
			if err := found.note(err); err != nil {
				return err
			}
		}
		if len(found.Problems) == 0 && r.Mode == archive.Full && (b.Manifest.Encryption == nil || identities != "") {
			if err := found.note(openDatabase(ctx, s.archive, b.Manifest, identities)); err != nil {
				return err
			}
			found.Opened = len(found.Problems) == 0
		}
		found.Good = len(found.Problems) == 0
		r.Backups = append(r.Backups, found)
	}
	r.Seconds = bar.took().Seconds()
	return nil
}

// note keeps what is wrong with objects, and returns other errors: of the way there, of identities.
func (b *VerifiedBackup) note(err error) error {
	found := problems(err, "")
	if err != nil && len(found) == 0 {
		return err
	}
	b.Problems = append(b.Problems, found...)
	return nil
}

// distinct are the objects of all backups, each once.
func distinct(backups []archive.Backup) []archive.Object {
	var all []archive.Object
	seen := map[string]bool{}
	for _, b := range backups {
		if !b.Good() {
			continue
		}
		for _, o := range b.Manifest.Objects() {
			if !seen[o.Key] {
				seen[o.Key] = true
				all = append(all, o)
			}
		}
	}
	return all
}

// problems are the objects that an error names. One that names none is about the object at key, if that is not empty.
func problems(err error, key string) []Problem {
	var joined interface{ Unwrap() []error }
	var broken *archive.BrokenError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &joined):
		var all []Problem
		for _, e := range joined.Unwrap() {
			all = append(all, problems(e, key)...)
		}
		return all
	case errors.As(err, &broken):
		return []Problem{{broken.Key, broken.Problem}}
	case key != "":
		return []Problem{{key, err.Error()}}
	}
	return nil
}

func (r Verified) human(p *page) {
	for _, x := range r.Problems {
		p.line("WRONG   %s: %s", x.Object, x.Problem)
	}
	bad := 0
	for _, b := range r.Backups {
		if !b.Good {
			bad++
			p.line("WRONG   %s", b.ID)
			for _, x := range b.Problems {
				p.line("        %s: %s", x.Object, x.Problem)
			}
			continue
		}
		how := "compared with the store's checksums"
		switch {
		case b.Opened:
			how = "read, hashed and opened"
		case r.Mode == archive.Full:
			how = "read and hashed as it is encrypted; --identity-file opens it"
		}
		p.line("good    %s  %s, %s: %s", b.ID, count(b.Objects, "object"), size(b.Bytes), how)
	}
	p.line("%s verified, %s good, %s wrong; %s %s", count(len(r.Backups), "backup"), fmt.Sprint(len(r.Backups)-bad), fmt.Sprint(bad), size(r.Bytes), speed(r.Bytes, r.Seconds))
}
