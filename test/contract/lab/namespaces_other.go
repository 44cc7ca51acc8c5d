//go:build !linux

package lab

func newNamespaces(l *Lab) place {
	l.T.Skipf("%s needs Linux: every server gets a network namespace", EnvBinary)
	return nil
}
