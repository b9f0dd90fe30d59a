// tlogcheck checks a trace's tiles and proofs with libraries that are not ours: filippo.io/torchwood and golang.org/x/mod/sumdb.
//
//	tlogcheck log FOLDER KEY                   every entry, by every tile, up to the signed checkpoint
//	tlogcheck entry PROOF KEY                  that the proof's entry stands in the log of its checkpoint
//	tlogcheck growth PROOF EARLIER KEY         that its checkpoint goes on from the earlier one
//	tlogcheck cosigned CHECKPOINT KEY WITNESS  that the witness has signed it, too
package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	f_note "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// folder is a log on the disk: what a web server would serve.
type folder string

func (f folder) ReadTiles(_ context.Context, tiles []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range tiles {
		bytes, err := os.ReadFile(filepath.Join(string(f), torchwood.TilePath(tile)))
		if errors.Is(err, fs.ErrNotExist) && tile.W < torchwood.TileWidth {
			// A partial tile may go once the full one is there.
			full := tile
			full.W = torchwood.TileWidth
			bytes, err = os.ReadFile(filepath.Join(string(f), torchwood.TilePath(full)))
			if err == nil && tile.L >= 0 {
				bytes = bytes[:tile.W*tlog.HashSize]
			}
		}
		if err != nil {
			return nil, err
		}
		data = append(data, bytes)
	}
	return data, nil
}
func (f folder) SaveTiles([]tlog.Tile, [][]byte) {}
func (f folder) ReadEndpoint(_ context.Context, path string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(f), path))
}

func open(signed []byte, key string) (torchwood.Checkpoint, error) {
	verifier, err := note.NewVerifier(strings.TrimSpace(key))
	if err != nil {
		return torchwood.Checkpoint{}, err
	}
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return torchwood.Checkpoint{}, err
	}
	checkpoint, err := torchwood.ParseCheckpoint(opened.Text)
	if err == nil && checkpoint.Origin != verifier.Name() {
		err = fmt.Errorf("the checkpoint is of %q", checkpoint.Origin)
	}
	return checkpoint, err
}

func checkLog(path, key string) error {
	signed, err := os.ReadFile(filepath.Join(path, "checkpoint"))
	if err != nil {
		return err
	}
	checkpoint, err := open(signed, key)
	if err != nil {
		return err
	}
	client, err := torchwood.NewClient(folder(path))
	if err != nil {
		return err
	}
	ctx := context.Background()
	entries := int64(0)
	for index := range client.Entries(ctx, checkpoint.Tree, 0) {
		if index != entries {
			return fmt.Errorf("entry %d came as entry %d", entries, index)
		}
		entries++
	}
	if err := client.Err(); err != nil {
		return err
	}
	// Entries gives full tiles only until an application asks for what is left.
	for ; entries < checkpoint.N; entries++ {
		if _, _, err := client.Entry(ctx, checkpoint.Tree, entries); err != nil {
			return err
		}
	}
	fmt.Printf("%d entries\n", entries)
	return nil
}

// split parts a proof into its lines, its hashes, and the checkpoint behind the empty line.
func split(path string) (lines []string, hashes []tlog.Hash, checkpoint []byte, err error) {
	proof, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, nil, err
	}
	head, checkpoint, found := bytes.Cut(proof, []byte("\n\n"))
	if !found {
		return nil, nil, nil, errors.New("the proof holds no checkpoint")
	}
	for _, line := range strings.Split(string(head), "\n") {
		if hash, err := tlog.ParseHash(line); err == nil && !strings.Contains(line, " ") {
			hashes = append(hashes, hash)
		} else {
			lines = append(lines, line)
		}
	}
	return lines, hashes, checkpoint, nil
}

func checkEntry(path, key string) error {
	lines, hashes, signed, err := split(path)
	if err != nil {
		return err
	}
	if len(lines) != 3 || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "extra ") || !strings.HasPrefix(lines[2], "index ") {
		return errors.New("not a tlog-proof with the entry in it")
	}
	entry, err := base64.StdEncoding.DecodeString(lines[1][len("extra "):])
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(lines[2][len("index "):], 10, 64)
	if err != nil {
		return err
	}
	checkpoint, err := open(signed, key)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(tlog.RecordProof(hashes), checkpoint.N, checkpoint.Hash, index, tlog.RecordHash(entry))
}

func checkGrowth(path, earlier, key string) error {
	_, hashes, signed, err := split(path)
	if err != nil {
		return err
	}
	before, err := os.ReadFile(earlier)
	if err != nil {
		return err
	}
	old, err := open(before, key)
	if err != nil {
		return err
	}
	checkpoint, err := open(signed, key)
	if err != nil {
		return err
	}
	return tlog.CheckTree(tlog.TreeProof(hashes), checkpoint.N, checkpoint.Hash, old.N, old.Hash)
}

func checkCosigned(path, key, witness string) error {
	signed, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if _, err := open(signed, key); err != nil {
		return err
	}
	verifier, err := f_note.NewVerifierForCosignatureV1(strings.TrimSpace(witness))
	if err != nil {
		return err
	}
	_, err = note.Open(signed, note.VerifierList(verifier))
	return err
}

func main() {
	err := errors.New("usage: tlogcheck log FOLDER KEY | entry PROOF KEY | growth PROOF EARLIER KEY | cosigned CHECKPOINT KEY WITNESS")
	arguments := os.Args[1:]
	switch {
	case len(arguments) == 3 && arguments[0] == "log":
		err = checkLog(arguments[1], arguments[2])
	case len(arguments) == 3 && arguments[0] == "entry":
		err = checkEntry(arguments[1], arguments[2])
	case len(arguments) == 4 && arguments[0] == "cosigned":
		err = checkCosigned(arguments[1], arguments[2], arguments[3])
	case len(arguments) == 4 && arguments[0] == "growth":
		err = checkGrowth(arguments[1], arguments[2], arguments[3])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
