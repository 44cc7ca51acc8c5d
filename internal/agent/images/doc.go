// Package images keeps a pod's images: the one that is being taken of the running server's database (Source), and the one that is being put in the database's place (Target).
// How files become an image is package image's business; here are IDs, leases, limits, what survives a crash of the agent, and what callers are told.
package images
