// Package seeding fills this pod's volume with the metadata of a living member: it has the donor's agent take an image, judges it, receives it and puts it in place. It keeps its order in the
// volume, so that an agent that was started again goes on. That the server may start on what is in place is not its word.
package seeding
