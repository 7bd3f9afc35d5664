// A tiny function over 500 000 numbers by two goroutines. They are fed through a buffered
// channel; their results come back through another, or ("shared") are written straight
// into the slice of results, which only shared memory allows.
package main

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

const (
	items   = 500000
	workers = 2
	ahead   = 1024
	warmups = 2
	samples = 5
)

type answer struct{ i, result int }

func feed(queue chan int) {
	for i := 0; i < items; i++ {
		queue <- i
	}
	close(queue)
}

func work(queue chan int, answers chan answer) {
	for i := range queue {
		answers <- answer{i, i * i}
	}
}

func mapByChannels(results []int) {
	queue, answers := make(chan int, ahead), make(chan answer, ahead)
	for i := 0; i < workers; i++ {
		go work(queue, answers)
	}
	go feed(queue)
	for range results {
		a := <-answers
		results[a.i] = a.result
	}
}

func workShared(queue chan int, results []int, done chan bool) {
	for i := range queue {
		results[i] = i * i
	}
	done <- true
}

func mapShared(results []int) {
	queue, done := make(chan int, ahead), make(chan bool)
	for i := 0; i < workers; i++ {
		go workShared(queue, results, done)
	}
	feed(queue)
	for i := 0; i < workers; i++ {
		<-done
	}
}

func rate(mapAll func([]int)) float64 {
	runtime.GC()
	started := time.Now()
	results := make([]int, items)
	mapAll(results)
	seconds := time.Since(started).Seconds()
	for i, result := range results {
		if result != i*i {
			fmt.Fprintln(os.Stderr, "wrong square of", i)
			os.Exit(1)
		}
	}
	return items / seconds / 1e6
}

func report(kind string, mapAll func([]int)) {
	fmt.Print(kind, " rate_M/s")
	for i := 0; i < warmups+samples; i++ {
		if value := rate(mapAll); i >= warmups {
			fmt.Printf(" %.6g", value)
		}
	}
	fmt.Println()
}

func main() {
	report("go", mapByChannels)
	report("shared", mapShared)
}
