// From handing a tiny task to one of two goroutines to its result: one after the other,
// and after a pause.
package main

import (
	"fmt"
	"os"
	"sort"
	"time"
)

const (
	calls     = 20000
	coldCalls = 300
	workers   = 2
	samples   = 5
	pause     = time.Millisecond
)

type task struct {
	argument int
	future   chan int
}

func work(queue chan task) {
	for t := range queue {
		t.future <- t.argument * t.argument
	}
}

func round(queue chan task, n int, pause time.Duration) []float64 {
	times := make([]float64, n)
	for i := range times {
		for begun := time.Now(); time.Since(begun) < pause; {
		}
		started := time.Now()
		future := make(chan int, 1)
		queue <- task{i, future}
		result := <-future
		times[i] = time.Since(started).Seconds() * 1e6
		if result != i*i {
			fmt.Fprintln(os.Stderr, "wrong square of", i)
			os.Exit(1)
		}
	}
	sort.Float64s(times)
	return times
}

func report(measure string, rounds [][]float64, share float64) {
	fmt.Print("go ", measure)
	for _, times := range rounds {
		fmt.Printf(" %.6g", times[int(share*float64(len(times)-1))])
	}
	fmt.Println()
}

func main() {
	queue := make(chan task)
	for i := 0; i < workers; i++ {
		go work(queue)
	}
	round(queue, calls, 0)
	var warm, cold [][]float64
	for i := 0; i < samples; i++ {
		warm = append(warm, round(queue, calls, 0))
	}
	cold = append(cold, round(queue, coldCalls, pause))
	report("p50_us", warm, 0.5)
	report("p99_us", warm, 0.99)
	report("cold_p50_us", cold, 0.5)
	report("cold_p99_us", cold, 0.99)
}
