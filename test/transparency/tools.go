//go:build tools

// What is built beside tlogcheck, at the versions that go.mod and go.sum pin.
package main

import _ "github.com/transparency-dev/tessera/cmd/fsck"
