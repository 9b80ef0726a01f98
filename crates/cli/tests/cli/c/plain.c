/* A program that has nothing to do with Kafka. */
int main(void) {
        return 0;
}
