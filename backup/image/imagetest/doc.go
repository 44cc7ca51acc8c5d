// Package imagetest gives tests of other packages the recorded databases of package image, and a way to compare databases.
package imagetest
