/* The floor: the training steps of the library, and nothing else. With `record_every_epoch` it also computes the
 * gradient of all training rows and the accuracy on all test rows after every epoch.
 *
 * Each lane of a vector register trains one seed. A batch passes through the network layer by layer; the gradient of a
 * layer's kernel is summed over the batch in registers. Compile with -DFEATURES, -DWIDTH, -DHIDDEN and -DBATCH.
 *
 * Layouts, the last axis is always the lane:
 *   params, momenta  [group][PARAMETERS][LANES]   layers input side first; a kernel (fan_in, fan_out), then its bias
 *   orders           [group][orders][rows][LANES] row number of each lane at each position; epoch e uses e % orders
 */
#include <pthread.h>
#include <stdint.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#define PARAMETERS ((FEATURES + 1) * WIDTH + (HIDDEN - 1) * (WIDTH + 1) * WIDTH + WIDTH + 1)
#define UNROLL _Pragma("GCC unroll 64")

typedef float vector __attribute__((vector_size(4 * LANES)));
typedef int32_t mask __attribute__((vector_size(4 * LANES)));

static inline vector spread(float value) { return value - (vector){0}; }

static inline vector least(vector a, vector b) {
    mask below = a < b;
    return (vector)(((mask)a & below) | ((mask)b & ~below));
}

/* An odd rational function of x; beyond |x| = 7.9 float32 cannot tell tanh from 1. */
static inline vector tanh_vector(vector x) {
    const vector bound = spread(7.90531110763549805f);
    x = least(bound, -least(bound, -x));
    vector square = x * x;
    vector above = spread(-2.76076847742355e-16f);
    above = above * square + 2.00018790482477e-13f;
    above = above * square + -8.60467152213735e-11f;
    above = above * square + 5.12229709037114e-08f;
    above = above * square + 1.48572235717979e-05f;
    above = above * square + 6.37261928875436e-04f;
    above = above * square + 4.89352455891786e-03f;
    vector below = spread(1.19825839466702e-06f);
    below = below * square + 1.18534705686654e-04f;
    below = below * square + 2.26843463243900e-03f;
    below = below * square + 4.89352518554385e-03f;
    return x * above / below;
}

static inline vector sigmoid_vector(vector x) { return 0.5f + 0.5f * tanh_vector(0.5f * x); }

struct work {
    int group_count, rows, epochs, order_count, record_every_epoch, test_rows;
    float learning_rate, momentum;
    const float *x;         /* [rows][FEATURES] */
    const float *y;         /* [rows] */
    const float *test_x;    /* [test_rows][FEATURES] */
    const float *test_y;    /* [test_rows] */
    const uint16_t *orders;
    vector *params, *momenta;
    vector *gradients;      /* [group][PARAMETERS], of all training rows, at the last record */
    vector *correct;        /* [group], correctly classified test rows at the last record */
    int next_group;
};

struct scratch {
    vector hidden[HIDDEN][BATCH][WIDTH], delta[BATCH][WIDTH], below[BATCH][WIDTH], input[BATCH][FEATURES];
    vector error[BATCH], gradient[PARAMETERS], total[PARAMETERS];
};

static inline void dense(int rows, int inputs, const vector *restrict in, const vector *restrict kernel,
                         vector *restrict out) {
    const vector *bias = kernel + inputs * WIDTH;
    for (int row = 0; row < rows; row++) {
        vector sums[WIDTH];
        UNROLL for (int unit = 0; unit < WIDTH; unit++) sums[unit] = bias[unit];
        UNROLL for (int source = 0; source < inputs; source++)
            UNROLL for (int unit = 0; unit < WIDTH; unit++)
                sums[unit] += in[row * inputs + source] * kernel[source * WIDTH + unit];
        UNROLL for (int unit = 0; unit < WIDTH; unit++) out[row * WIDTH + unit] = tanh_vector(sums[unit]);
    }
}

static inline void kernel_gradient(int rows, int inputs, const vector *restrict in, const vector *restrict delta,
                                   vector *restrict gradient) {
    vector sums[(inputs + 1) * WIDTH];
    UNROLL for (int index = 0; index < (inputs + 1) * WIDTH; index++) sums[index] = spread(0);
    for (int row = 0; row < rows; row++) {
        UNROLL for (int source = 0; source < inputs; source++)
            UNROLL for (int unit = 0; unit < WIDTH; unit++)
                sums[source * WIDTH + unit] += in[row * inputs + source] * delta[row * WIDTH + unit];
        UNROLL for (int unit = 0; unit < WIDTH; unit++) sums[inputs * WIDTH + unit] += delta[row * WIDTH + unit];
    }
    UNROLL for (int index = 0; index < (inputs + 1) * WIDTH; index++) gradient[index] = sums[index];
}

static inline void hidden_delta(int rows, const vector *restrict kernel, const vector *restrict delta,
                                const vector *restrict hidden, vector *restrict below) {
    for (int row = 0; row < rows; row++) {
        vector sums[WIDTH];
        UNROLL for (int source = 0; source < WIDTH; source++) sums[source] = spread(0);
        UNROLL for (int unit = 0; unit < WIDTH; unit++)
            UNROLL for (int source = 0; source < WIDTH; source++)
                sums[source] += kernel[source * WIDTH + unit] * delta[row * WIDTH + unit];
        UNROLL for (int source = 0; source < WIDTH; source++) {
            vector value = hidden[row * WIDTH + source];
            below[row * WIDTH + source] = sums[source] * (1.0f - value * value);
        }
    }
}

static void gather(const struct work *work, const uint16_t *order, int rows, struct scratch *s) {
    for (int row = 0; row < rows; row++) {
        const uint16_t *row_numbers = order + row * LANES;
        for (int feature = 0; feature < FEATURES; feature++)
            for (int lane = 0; lane < LANES; lane++)
                s->input[row][feature][lane] = work->x[row_numbers[lane] * FEATURES + feature];
        for (int lane = 0; lane < LANES; lane++) s->error[row][lane] = work->y[row_numbers[lane]];
    }
}

static void take(const float *x, const float *y, int rows, struct scratch *s) {
    for (int row = 0; row < rows; row++) {
        for (int feature = 0; feature < FEATURES; feature++)
            s->input[row][feature] = spread(x[row * FEATURES + feature]);
        s->error[row] = spread(y[row]);
    }
}

static void output_layer(int rows, const vector *restrict kernel, vector *restrict gradient, struct scratch *s) {
    vector (*top)[WIDTH] = s->hidden[HIDDEN - 1];
    vector sums[WIDTH + 1];
    UNROLL for (int unit = 0; unit < WIDTH + 1; unit++) sums[unit] = spread(0);
    for (int row = 0; row < rows; row++) {
        vector logit = kernel[WIDTH];
        UNROLL for (int unit = 0; unit < WIDTH; unit++) logit += top[row][unit] * kernel[unit];
        vector error = (sigmoid_vector(logit) - s->error[row]) / (float)rows;
        UNROLL for (int unit = 0; unit < WIDTH; unit++) {
            sums[unit] += top[row][unit] * error;
            s->delta[row][unit] = kernel[unit] * error * (1.0f - top[row][unit] * top[row][unit]);
        }
        sums[WIDTH] += error;
    }
    UNROLL for (int unit = 0; unit < WIDTH + 1; unit++) gradient[unit] = sums[unit];
}

#define FIRST ((FEATURES + 1) * WIDTH)
#define EACH ((WIDTH + 1) * WIDTH)
#define LAST (FIRST + (HIDDEN - 1) * EACH)

static void forward(int rows, const vector *restrict params, struct scratch *s) {
    dense(rows, FEATURES, s->input[0], params, s->hidden[0][0]);
    for (int layer = 1; layer < HIDDEN; layer++)
        dense(rows, WIDTH, s->hidden[layer - 1][0], params + FIRST + (layer - 1) * EACH, s->hidden[layer][0]);
}

/* Compute the gradient over the rows in the scratch space. */
static void differentiate(int rows, const vector *restrict params, struct scratch *s) {
    forward(rows, params, s);
    output_layer(rows, params + LAST, s->gradient + LAST, s);
    vector *delta = s->delta[0], *below = s->below[0];
    for (int layer = HIDDEN - 1; layer > 0; layer--) {
        const int offset = FIRST + (layer - 1) * EACH;
        kernel_gradient(rows, WIDTH, s->hidden[layer - 1][0], delta, s->gradient + offset);
        hidden_delta(rows, params + offset, delta, s->hidden[layer - 1][0], below);
        vector *swap = delta;
        delta = below, below = swap;
    }
    kernel_gradient(rows, FEATURES, s->input[0], delta, s->gradient);
}

static int at_most(int size, int rows) { return rows < size ? rows : size; }

static void measure(const struct work *work, long group, const vector *restrict params, struct scratch *s) {
    for (int index = 0; index < PARAMETERS; index++) s->total[index] = spread(0);
    for (int start = 0; start < work->rows; start += BATCH) {
        const int rows = at_most(BATCH, work->rows - start);
        take(work->x + start * FEATURES, work->y + start, rows, s);
        differentiate(rows, params, s);
        const float share = (float)rows / work->rows;
        for (int index = 0; index < PARAMETERS; index++) s->total[index] += share * s->gradient[index];
    }
    for (int index = 0; index < PARAMETERS; index++) work->gradients[group * PARAMETERS + index] = s->total[index];
    vector correct = spread(0);
    for (int start = 0; start < work->test_rows; start += BATCH) {
        const int rows = at_most(BATCH, work->test_rows - start);
        take(work->test_x + start * FEATURES, work->test_y + start, rows, s);
        forward(rows, params, s);
        for (int row = 0; row < rows; row++) {
            vector logit = params[LAST + WIDTH];
            UNROLL for (int unit = 0; unit < WIDTH; unit++)
                logit += s->hidden[HIDDEN - 1][row][unit] * params[LAST + unit];
            const mask agrees = (logit > 0) == (s->error[row] > 0);
            correct -= __builtin_convertvector(agrees, vector);
        }
    }
    work->correct[group] = correct;
}

static void step(const struct work *work, const uint16_t *order, int rows, vector *restrict params,
                 vector *restrict momenta, struct scratch *s) {
    gather(work, order, rows, s);
    differentiate(rows, params, s);
    for (int index = 0; index < PARAMETERS; index++) {
        momenta[index] = work->momentum * momenta[index] + s->gradient[index];
        params[index] -= work->learning_rate * momenta[index];
    }
}

static void *train_groups(void *argument) {
    struct work *work = argument;
    static _Thread_local struct scratch scratch;
    for (;;) {
        long group = __atomic_fetch_add(&work->next_group, 1, __ATOMIC_RELAXED);
        if (group >= work->group_count) return 0;
        vector params[PARAMETERS], momenta[PARAMETERS];
        for (int index = 0; index < PARAMETERS; index++) {
            params[index] = work->params[group * PARAMETERS + index];
            momenta[index] = work->momenta[group * PARAMETERS + index];
        }
        for (int epoch = 0; epoch < work->epochs; epoch++) {
            long order_index = group * work->order_count + epoch % work->order_count;
            const uint16_t *order = work->orders + order_index * work->rows * LANES;
            for (int start = 0; start < work->rows; start += BATCH)
                step(work, order + (long)start * LANES, at_most(BATCH, work->rows - start), params, momenta, &scratch);
            if (work->record_every_epoch) measure(work, group, params, &scratch);
        }
        for (int index = 0; index < PARAMETERS; index++) {
            work->params[group * PARAMETERS + index] = params[index];
            work->momenta[group * PARAMETERS + index] = momenta[index];
        }
    }
}

static void on_threads(int threads, void *(*function)(void *), void *argument, long stride) {
    pthread_t others[threads];
    for (int index = 1; index < threads; index++)
        pthread_create(&others[index], 0, function, (char *)argument + index * stride);
    function(argument);
    for (int index = 1; index < threads; index++) pthread_join(others[index], 0);
}

void train(int threads, int group_count, int rows, int epochs, int order_count, int record_every_epoch, int test_rows,
           float learning_rate, float momentum, const float *x, const float *y, const float *test_x,
           const float *test_y, const uint16_t *orders, vector *params, vector *momenta, vector *gradients,
           vector *correct) {
    struct work work = {.group_count = group_count, .rows = rows, .epochs = epochs, .order_count = order_count,
                        .record_every_epoch = record_every_epoch, .test_rows = test_rows,
                        .learning_rate = learning_rate, .momentum = momentum, .x = x, .y = y, .test_x = test_x,
                        .test_y = test_y, .orders = orders,
                        .params = params, .momenta = momenta, .gradients = gradients, .correct = correct};
    on_threads(threads, train_groups, &work, 0);
}

int lanes(void) { return LANES; }

void tanh_values(int vectors, vector *values) {
    for (int index = 0; index < vectors; index++) values[index] = tanh_vector(values[index]);
}

/* Measure the peak: independent multiply-adds that stay in registers. */
#define CHAINS 16

struct peak {
    long iterations;
    vector result;
};

static void *multiply_add(void *argument) {
    struct peak *peak = argument;
    vector sums[CHAINS], factor = peak->result;
    UNROLL for (int chain = 0; chain < CHAINS; chain++) sums[chain] = spread(chain);
    for (long iteration = 0; iteration < peak->iterations; iteration++)
        UNROLL for (int chain = 0; chain < CHAINS; chain++) sums[chain] = sums[chain] * factor + factor;
    vector total = sums[0];
    UNROLL for (int chain = 1; chain < CHAINS; chain++) total += sums[chain];
    peak->result = total;
    return 0;
}

/* Return the number of multiply-adds of single floats; a `seed` below one keeps the sums finite. */
double peak_multiply_adds(int threads, long iterations, float seed, float *result) {
    struct peak peaks[threads];
    for (int index = 0; index < threads; index++) peaks[index] = (struct peak){iterations, spread(seed)};
    on_threads(threads, multiply_add, peaks, sizeof(struct peak));
    *result = peaks[0].result[0];
    return (double)threads * iterations * CHAINS * LANES;
}
